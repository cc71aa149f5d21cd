"""What VASA-1 does not have, and why the `demo` config uses it.

`demo` was trained on 2 cores, on synthetic heads alone: thousands of times less arithmetic than the
paper's, and no image of a real person. Each extension buys back some of that. All are off in
`vasa1`. `vasa_jax.face` and `vasa_jax.motion` import nothing from here; `build` alone chooses.

compositing: VASA-1's decoder draws every pixel; most of a talking face is the portrait, moved.
blendshape_maps: displacements grow from a 4 x 4 x 4 seed; linear maps learn in hundreds of steps.
arkit_code, label_losses: z_dyn is self-supervised; rendered heads know their expression exactly.
arkit_regressor: z_dyn of motion that is known as coefficients, without images.
transfer_targets, transfer_losses: consistency and cross-identity losses; renders are exact targets.
face_patches: losses see whole images, in which eyes and mouths of 128 px are a few pixels.
pose_flip, face_crop: encoders see the whole image, once.
residual_prior: the motion itself is diffused; heads hold still to a tenth of what they differ by.
neutral_context: clips begin from the learned null; a portrait should begin where its head is.
lip_loss: mean squared error of all numbers, in which lips that nearly close weigh little.
"""

"""`configs/vasa1.py` against a table of what the papers say, written out by hand."""

import pytest

from vasa_jax.config import get_config

# VASA-1 (2404.10667), 3.1, 3.2 and 4.1.
VASA1 = {
    "face.image_size": 512,
    "audio.encoder": "wav2vec2",
    "motion.layers": 8,
    "motion.width": 512,
    "motion.heads": 8,
    "diffusion.steps": 50,
    "diffusion.guidance_audio": 0.5,
    "diffusion.guidance_gaze": 1.0,
    "diffusion.guidance_distance": 0.0,
    "diffusion.guidance_emotion": 0.0,
    "train_motion.drop_condition": 0.1,
    "train_motion.drop_context": 0.5,
    "train_motion.velocity_weight": 0.0,
    "train_motion.smoothness_weight": 0.0,
}
# MegaPortraits (2207.07572), figures 9 and 10, section 4, appendix.
MEGAPORTRAITS = {
    "face.appearance_stem": 64,
    "face.appearance_widths": (128, 256, 512),
    "face.volume_channels": 96,
    "face.volume_depth": 16,
    "face.volume_size": 64,
    "face.identity_depths": (3, 4, 6, 3),  # ResNet-50
    "face.motion_depths": (2, 2, 2, 2),  # ResNet-18
    "face.dyn_dim": 512,
    "face.warp_widths": (256, 128, 64, 32),
    "face.decoder_width": 512,
    "face.decoder_blocks": 8,
    "face.decoder_widths": (256, 128, 64),
    "face_losses.perceptual.weight": 20.0,
    "face_losses.face_features.weight": 4.0,
    "face_losses.adversarial.weight": 1.0,
    "face_losses.adversarial.feature_matching": 40.0,
    "face_losses.contrast.weight": 2.0,
    "face_losses.contrast.scale": 5.0,
    "face_losses.contrast.margin": 0.2,
    "face_losses.masked": True,
    "train_face.steps": 300_000,
    "train_face.batch": 16,
    "train_face.learning_rate": 2e-4,
    "train_face.final_learning_rate": 1e-6,
    "train_face.schedule": "cosine",
    "train_face.beta1": 0.5,
    "train_face.beta2": 0.999,
    "train_face.eps": 1e-8,
    "train_face.weight_decay": 1e-2,
}


@pytest.mark.parametrize(("key", "value"), [*VASA1.items(), *MEGAPORTRAITS.items()])
def test_it_says_what_the_papers_say(key, value):
    node = get_config("vasa1")
    for name in key.split("."):
        node = getattr(node, name)
    assert node == value

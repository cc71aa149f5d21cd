"""The size of the shipped weights: 256 px, small enough to train and to run on a laptop's CPU.

The networks see and draw 128 px, but for the motion encoders, which look at the portrait as it is:
an eye is 12 pixels wide in 128. The portrait's own pixels, which the networks move, have 256. The
volume is a quarter of the networks' picture, whatever that is: the same parameters train at 64 px
first (`scripts/train_demo.sh`).
"""

from vasa_jax.config import (
    AudioConfig,
    Config,
    DiffusionConfig,
    FaceConfig,
    FaceExtensions,
    MotionConfig,
    MotionExtensions,
    MotionTrainConfig,
)


def config() -> Config:
    return Config(
        name="demo",
        face=FaceConfig(
            image_size=256,
            appearance_stem=16,
            appearance_widths=(16, 48),
            appearance_blocks_3d=1,
            volume_channels=16,
            volume_depth=8,
            identity_width=32,
            identity_depths=(1, 1, 1, 1),
            identity_image_size=64,
            motion_width=32,
            motion_depths=(2, 2, 2, 2),
            motion_image_size=160,
            dyn_dim=64,
            embed_channels=128,
            warp_widths=(64, 48, 32),
            canonical_widths=(16, 16, 32),
            decoder_width=96,
            decoder_blocks=2,
            decoder_widths=(48, 16),
            norm_groups=8,
            extensions=FaceExtensions(
                pose_flip_average=True,
                dyn_crop=112,
                warp_size=16,
                blendshape_maps=32,
                decoder_embed=True,
                compositing=True,
                network_size=128,
                portrait_features=32,
                background=True,
            ),
        ),
        audio=AudioConfig(encoder="mel", variant="", dim=192),
        motion=MotionConfig(
            layers=6,
            width=256,
            extensions=MotionExtensions(residual_prior=True, neutral_start=0.4),
        ),
        diffusion=DiffusionConfig(steps=25),
        # Without a loss on velocity heads shake and jump where windows meet.
        train_motion=MotionTrainConfig(velocity_weight=10.0, augment_audio=True),
        precision="f32",
    )

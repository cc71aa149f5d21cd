"""The size of the shipped weights: 256 px, small enough to train and to run on a laptop's CPU.

The networks see and draw 128 px, but for the motion encoders, which look at the portrait as it is:
an eye is 12 pixels wide in 128. The portrait's own pixels, which the networks move, have 256. The
volume is a quarter of the networks' picture, whatever that is: the same parameters train at 64 px
first (`scripts/train_demo.sh`).
"""

from vasa_jax.config import AudioConfig, Config, DiffusionConfig, FaceConfig, MotionConfig


def config() -> Config:
    return Config(
        name="demo",
        face=FaceConfig(
            image_size=256,
            network_size=128,
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
            pose_mirrored=True,
            dyn_dim=64,
            dyn_crop=112,
            embed_channels=128,
            warp_widths=(64, 48, 32),
            warp_size=16,
            canonical_widths=(16, 16, 32),
            decoder_width=96,
            decoder_blocks=2,
            decoder_widths=(48, 16),
            compose=True,
            compose_context=32,
            compose_plate=True,
            decoder_dyn=True,
            dyn_maps=32,
            norm_groups=8,
        ),
        audio=AudioConfig(encoder="mel", variant="", dim=192, augment=True),
        motion=MotionConfig(layers=6, width=256, prior=True),
        # Velocity: heads of few frames of training shake, and jump where windows meet, without it.
        diffusion=DiffusionConfig(steps=25, velocity_weight=10.0, rest_share=0.4),
        precision="f32",
    )

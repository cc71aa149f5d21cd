"""The size of the shipped weights: 256 px, small enough to train and to run on a laptop's CPU."""

from vasa_jax.config import AudioConfig, Config, DiffusionConfig, FaceConfig, MotionConfig


def config() -> Config:
    return Config(
        name="demo",
        face=FaceConfig(
            image_size=256,
            appearance_stem=32,
            appearance_widths=(64, 128, 192),
            appearance_blocks_3d=2,
            volume_channels=32,
            volume_depth=16,
            identity_width=32,
            identity_depths=(1, 1, 1, 1),
            identity_image_size=128,
            motion_width=32,
            motion_depths=(1, 1, 1, 1),
            motion_image_size=128,
            dyn_dim=64,
            embed_channels=128,
            warp_widths=(96, 64, 32, 32),
            canonical_widths=(48, 64, 96),
            decoder_width=192,
            decoder_blocks=4,
            decoder_widths=(128, 64, 32),
            norm_groups=16,
        ),
        audio=AudioConfig(encoder="mel", variant="", dim=192),
        motion=MotionConfig(layers=6, width=256),
        diffusion=DiffusionConfig(steps=25),
        precision="f32",
    )

"""256 px, about 60M parameters: the paper's model at half resolution and about half width."""

from vasa_jax.config import Config, FaceConfig


def config() -> Config:
    return Config(
        name="base256",
        face=FaceConfig(
            image_size=256,
            appearance_stem=32,
            appearance_widths=(64, 128, 256),
            appearance_blocks_3d=4,
            volume_channels=64,
            volume_depth=16,
            identity_width=48,
            identity_depths=(2, 2, 4, 2),
            motion_width=40,
            dyn_dim=256,
            embed_channels=256,
            warp_widths=(160, 96, 64, 32),
            canonical_widths=(96, 160, 224),
            decoder_width=288,
            decoder_blocks=8,
            decoder_widths=(192, 96, 64),
        ),
    )

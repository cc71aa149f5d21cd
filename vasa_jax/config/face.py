"""The face model's section of a config: sizes, widths, and which of them go together."""

from dataclasses import dataclass, field

from vasa_jax.config.extensions import FaceExtensions
from vasa_jax.errors import require
from vasa_jax.typing import POSE_DIM

WARP_SEED_DEPTH = 4
"""Depth of the volume that a warp field grows from (MegaPortraits: 4 x 4 x 4)."""


@dataclass(frozen=True)
class FaceConfig:
    """The face latent model (VASA-1 3.1; layer widths from MegaPortraits' Figures 9 and 10).

    The defaults are the paper's size: 512 px, volume 96 x 16 x 64 x 64, about 204M parameters.
    """

    image_size: int = 512
    appearance_stem: int = 64
    appearance_widths: tuple[int, ...] = (128, 256, 512)
    appearance_blocks_3d: int = 6
    volume_channels: int = 96
    volume_depth: int = 16
    identity_width: int = 64
    identity_depths: tuple[int, ...] = (3, 4, 6, 3)
    identity_image_size: int = 256
    motion_width: int = 64
    motion_depths: tuple[int, ...] = (2, 2, 2, 2)
    motion_image_size: int = 256
    dyn_dim: int = 512
    embed_channels: int = 512
    embed_size: int = 4
    warp_widths: tuple[int, ...] = (256, 128, 64, 32)
    canonical_widths: tuple[int, ...] = (192, 384, 512)
    decoder_width: int = 512
    decoder_blocks: int = 8
    decoder_widths: tuple[int, ...] = (256, 128, 64)
    norm_groups: int = 32
    extensions: FaceExtensions = field(default_factory=FaceExtensions)

    def __post_init__(self):
        down = 2 ** len(self.appearance_widths)
        extra = "extensions."
        name = "image_size" if self.network_size == self.image_size else extra + "network_size"
        require(
            self.network_size % (4 * down) == 0,
            f"face.{name}={self.network_size} must be a multiple of {4 * down}, because the "
            f"appearance encoder halves it {len(self.appearance_widths)} times and G3D twice more",
        )
        require(
            self.image_size % 8 == 0,
            f"face.image_size={self.image_size} must be a multiple of 8: video is coded in blocks",
        )
        require(
            len(self.decoder_widths) == len(self.appearance_widths),
            "face.decoder_widths needs one width per halving in face.appearance_widths, "
            f"got {len(self.decoder_widths)} and {len(self.appearance_widths)}",
        )
        require(
            len(self.canonical_widths) == 3,
            f"face.canonical_widths={self.canonical_widths} must be three widths, one for each "
            "resolution of G3D",
        )
        reach = 2 ** len(self.warp_widths)
        for name, start, target in (
            ("volume_depth", WARP_SEED_DEPTH, self.volume_depth),
            (
                extra + "warp_size" if self.extensions.warp_size else "volume_size",
                self.embed_size,
                self.field_size,
            ),
        ):
            require(
                any(start * 2**k == target for k in range(len(self.warp_widths) + 1)),
                f"face.{name}={target} must be {start} times a power of two up to {reach}, because "
                f"the warp generator grows from {start} and may double once per face.warp_widths",
            )
        maps = self.extensions.blendshape_maps
        small, large = sorted((maps or self.volume_size, self.volume_size))
        require(
            large % small == 0 and (large // small) & (large // small - 1) == 0,
            f"face.extensions.blendshape_maps={maps} must be the volume's {self.volume_size} "
            "voxels times or over a power of two",
        )
        times = self.volume_size // self.field_size
        require(
            self.field_size * times == self.volume_size and times & (times - 1) == 0,
            f"face.extensions.warp_size={self.extensions.warp_size} must be the volume's "
            f"{self.volume_size} voxels over a power of two",
        )

    @property
    def network_size(self) -> int:
        """Height and width of the image that the appearance encoder sees and the decoder draws,
        pixels; smaller than image_size by an extension alone."""
        return min(self.extensions.network_size or self.image_size, self.image_size)

    @property
    def volume_size(self) -> int:
        """Height and width of the appearance volume, voxels."""
        return self.network_size // 2 ** len(self.appearance_widths)

    @property
    def field_size(self) -> int:
        """Height and width of the displacement fields as they are generated, voxels."""
        return min(self.extensions.warp_size or self.volume_size, self.volume_size)

    @property
    def motion_dim(self) -> int:
        """Length of the per-frame motion vector [pose, z_dyn]."""
        return POSE_DIM + self.dyn_dim

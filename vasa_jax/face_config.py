"""The face model's section of a config: sizes, widths, and which of them go together."""

from dataclasses import dataclass

from vasa_jax.errors import require
from vasa_jax.typing import POSE_DIM

WARP_SEED_DEPTH = 4
"""Depth of the volume that a warp field grows from (MegaPortraits: 4 x 4 x 4)."""


@dataclass(frozen=True)
class FaceConfig:
    """The face latent model (VASA-1 3.1; layer widths from MegaPortraits' Figures 9 and 10).

    The defaults are the paper's size: 512 px, volume 96 x 16 x 64 x 64, about 204M parameters.
    pose_mirrored: whether a head pose is the mean of what the encoder says of a picture and,
    mirrored back, of its mirror image; the paper asks once.
    dyn_crop: 0 (the paper): the dynamics encoder sees the whole picture at motion_image_size; else
    a crop of that many pixels, in which the predicted head pose holds eyes and mouth in place.
    warp_size: voxels of a displacement field's height and width, enlarged linearly to a larger
    volume's; 0 (the paper): the volume's.
    network_size: side of the picture that the networks see and draw, pixels, in a larger picture of
    moved pixels of the portrait (needs compose); 0 (the paper), or a smaller picture: image_size.
    The motion encoders see the larger one at sizes of their own.
    compose: whether the picture is put together from the portrait's own pixels, moved along the
    warps or left in place, and drawn ones (`face/compose.py`); the paper draws all of them.
    compose_context: channels of what the decoder is told about the portrait: what lies where it
    draws, what is moved there, and how far (needs compose); 0: nothing.
    compose_plate: whether the portrait with the person taken out, background filled in, is one more
    of the layers that make the picture (`face/plate.py`; needs compose).
    decoder_dyn: whether the decoder's norms are adapted by z_dyn and z_id, as the warps' are; in
    the paper dynamics act by warps alone.
    dyn_maps: height and width of learned maps, one for each entry of z_dyn, of what it displaces
    and changes in the canonical volume (`face/dyn_maps.py`); 0 (the paper): none.
    compose_mouth: rows of the textures of a mouth's inside (`face/mouth.py`; needs compose); 0 (the
    paper): none.
    freeze_pose, freeze_dyn: whether training leaves the parameters of that encoder as they are.
    Gradients still pass through it to the picture that it reads. trained: the parts of the model
    that training moves, by their names in its parameters; empty: all.
    """

    image_size: int = 512
    network_size: int = 0
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
    pose_mirrored: bool = False
    dyn_dim: int = 512
    dyn_crop: int = 0
    embed_channels: int = 512
    embed_size: int = 4
    warp_widths: tuple[int, ...] = (256, 128, 64, 32)
    warp_size: int = 0
    canonical_widths: tuple[int, ...] = (192, 384, 512)
    decoder_width: int = 512
    decoder_blocks: int = 8
    decoder_widths: tuple[int, ...] = (256, 128, 64)
    compose: bool = False
    compose_context: int = 0
    compose_plate: bool = False
    compose_mouth: int = 0
    decoder_dyn: bool = False
    dyn_maps: int = 0
    norm_groups: int = 32
    freeze_pose: bool = False
    freeze_dyn: bool = False
    trained: tuple[str, ...] = ()

    def __post_init__(self):
        down = 2 ** len(self.appearance_widths)
        name = "image_size" if self.drawn_size == self.image_size else "network_size"
        require(
            self.drawn_size % (4 * down) == 0,
            f"face.{name}={self.drawn_size} must be a multiple of {4 * down}, because the "
            f"appearance encoder halves it {len(self.appearance_widths)} times and G3D twice more",
        )
        require(
            self.compose or not self.network_size,
            f"face.network_size={self.network_size} needs face.compose=true: without the "
            "portrait's own pixels a larger picture shows no more; set face.network_size=0 too",
        )
        require(
            self.compose or not self.compose_context,
            f"face.compose_context={self.compose_context} needs face.compose=true: without it the "
            "decoder draws every pixel itself; set face.compose_context=0 too",
        )
        require(
            self.compose or not self.compose_mouth,
            f"face.compose_mouth={self.compose_mouth} needs face.compose=true: it lies over what "
            "the decoder draws where lips part; set face.compose_mouth=0 too",
        )
        require(
            self.compose or not self.compose_plate,
            "face.compose_plate=true needs face.compose=true: without it the decoder draws the "
            "background itself; set face.compose_plate=false too",
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
            ("warp_size" if self.warp_size else "volume_size", self.embed_size, self.field_size),
        ):
            require(
                any(start * 2**k == target for k in range(len(self.warp_widths) + 1)),
                f"face.{name}={target} must be {start} times a power of two up to {reach}, because "
                f"the warp generator grows from {start} and may double once per face.warp_widths",
            )
        small, large = sorted((self.dyn_maps or self.volume_size, self.volume_size))
        require(
            large % small == 0 and (large // small) & (large // small - 1) == 0,
            f"face.dyn_maps={self.dyn_maps} must be the volume's {self.volume_size} voxels times "
            "or over a power of two",
        )
        times = self.volume_size // self.field_size
        require(
            self.field_size * times == self.volume_size and times & (times - 1) == 0,
            f"face.warp_size={self.warp_size} must be the volume's {self.volume_size} voxels over "
            "a power of two",
        )

    @property
    def drawn_size(self) -> int:
        """Height and width of the picture that the networks see and draw, pixels."""
        return min(self.network_size or self.image_size, self.image_size)

    @property
    def volume_size(self) -> int:
        """Height and width of the appearance volume, voxels."""
        return self.drawn_size // 2 ** len(self.appearance_widths)

    @property
    def field_size(self) -> int:
        """Height and width of the displacement fields as they are generated, voxels."""
        return min(self.warp_size or self.volume_size, self.volume_size)

    @property
    def motion_dim(self) -> int:
        """Length of the per-frame motion vector [pose, z_dyn]."""
        return POSE_DIM + self.dyn_dim

"""What VASA-1 does not have, as sections of the config; every default is off, which is the paper.

`vasa_jax/extensions` holds the code; its docstring says why the `demo` config needs it.
"""

from dataclasses import dataclass

from vasa_jax.config.fields import number
from vasa_jax.errors import require


@dataclass(frozen=True)
class FaceExtensions:
    """Of the face model. The code: `vasa_jax.extensions.face_model`."""

    pose_flip_average: bool = False
    """Average the pose of an image and of its mirror image."""
    dyn_crop: int = number(0, 0)
    """Side, pixels, of a crop of eyes and mouth that the dynamics encoder sees, placed by the
    predicted head pose; 0: it sees the whole image."""
    warp_size: int = number(0, 0)
    """Voxels along height and width of a warp generator's field, enlarged linearly to a larger
    volume's; 0: the volume's own."""
    blendshape_maps: int = number(0, 0)
    """Height and width of maps, linear in z_dyn, that displace and add to the canonical volume;
    0: none."""
    decoder_embed: bool = False
    """The decoder's norms are adapted by z_dyn and z_id, as the warp generators' are."""
    compositing: bool = False
    """The image is a blend of the portrait, moved or in place, and of what the decoder draws."""
    network_size: int = number(0, 0)
    """Side, pixels, of the image that all networks but the motion encoders see and draw, below
    image_size; 0: image_size. Needs compositing."""
    portrait_features: int = number(0, 0)
    """Channels of the portrait's features that the decoder sees, in place and moved; 0: none.
    Needs compositing."""
    background: bool = False
    """One more layer of the blend: the portrait with the person inpainted. Needs compositing."""

    def __post_init__(self):
        for key, why in (
            (
                "network_size",
                "without the portrait's own pixels a larger image shows no more",
            ),
            ("portrait_features", "without it the decoder draws every pixel itself"),
            ("background", "without it the decoder draws the background itself"),
        ):
            value = getattr(self, key)
            text = str(value).lower()
            off = "false" if value is True else 0
            require(
                self.compositing or not value,
                f"face.extensions.{key}={text} needs face.extensions.compositing=true: {why}; "
                f"set face.extensions.{key}={off} too",
            )


@dataclass(frozen=True)
class MotionExtensions:
    """Of the motion model."""

    residual_prior: bool = False
    """Diffuse the residual to a Gaussian prior given the last context frame
    (`vasa_jax.extensions.residual_prior`); off: the motion itself."""
    neutral_start: float = 0.0
    """Share of the training windows whose context is a neutral face at the window's pose, in
    silence (`vasa_jax.extensions.neutral_context`); above 0, generated clips begin so. 0: they
    begin with the learned null context."""

    def __post_init__(self):
        require(
            0.0 <= self.neutral_start <= 1.0,
            f"motion.extensions.neutral_start={self.neutral_start} is a share, so in 0..1",
        )


@dataclass(frozen=True)
class TransferLoss:
    """Losses against rendered ground truth of transfers between people, where the data has it.

    Targets are the full, the pose-only and the dynamics-only transfer
    (`vasa_jax.extensions.transfer_targets`). All but `weight` are relative to it.
    """

    weight: float = 0.0
    pixel: float = 1.0
    """L1 of the whole image."""
    perceptual: float = 20.0
    """VGG features of the whole image."""
    regions: float = 5.0
    """L1 in eyes and mouth, once more."""
    patches: float = 0.0
    """VGG features of eyes and mouth, upright and enlarged; needs face points."""
    motion_weighted: float = 0.0
    """L1 weighted by how much two renders of one head pose differ."""
    decoded: float = 0.0
    """Compositing: L1 of what the decoder draws, where the portrait cannot show it."""
    layer_assignment: float = 0.0
    """Compositing: cross-entropy of the blend to the layer nearest to the render."""
    flow: float = 0.0
    """Compositing: distance between where moved pixels come from and where they should."""
    flow_regions: float = 1.0
    """`flow` in eyes and mouth, once more."""
    blend_masks: float = 0.0
    """Compositing: cross-entropy of the blend to the layers that can show a pixel."""
    foreground: float = 0.0
    """Background: cross-entropy of the foreground; needs masks."""

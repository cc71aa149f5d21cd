"""The losses of stage 1 as config sections, one frozen dataclass a loss, each with its weight."""

from dataclasses import dataclass, field

from vasa_jax.config.extensions import TransferLoss
from vasa_jax.config.fields import number


@dataclass(frozen=True)
class PixelLoss:
    """Mean absolute difference of images in [0, 1]."""

    weight: float = 1.0


@dataclass(frozen=True)
class PerceptualLoss:
    """L1 of VGG features on an image pyramid (MegaPortraits: weight 20, 0.2 a tap, 4 scales)."""

    weight: float = 20.0
    tap_weights: tuple[float, ...] = (0.2, 0.2, 0.2, 0.2, 0.2)
    scales: int = 4


@dataclass(frozen=True)
class SelfLoss:
    """Share of the pixel and perceptual losses also paid for redrawing the source itself (DPE)."""

    weight: float = 1.0


@dataclass(frozen=True)
class FaceFeatureLoss:
    """L1 of a face network's feature maps on aligned crops (MegaPortraits: VGGFace, 4); of the
    identity network's where VGGFace is not given."""

    weight: float = 4.0


@dataclass(frozen=True)
class RegionLoss:
    """Eyes and mouth again: L1 and, where VGG is loaded, its features inside soft masks."""

    weight: float = 5.0
    pixel: float = 1.0
    perceptual: float = 1.0


@dataclass(frozen=True)
class AdversarialLoss:
    """Hinge loss of a multi-scale patch discriminator (MegaPortraits: 1)."""

    weight: float = 1.0
    feature_matching: float = 40.0
    start: int = number(0, 0)
    """First step at which it counts."""
    face_patches: bool = False
    """Extension: the discriminator sees eyes and mouth (`vasa_jax.extensions.face_patches`) instead
    of the whole image; needs face points."""
    scales: int = 2
    widths: tuple[int, ...] = (64, 128, 256, 512)


@dataclass(frozen=True)
class ContrastLoss:
    """Cosine contrast of dynamics codes, d = scale (cos - margin) (MegaPortraits: 2, 5, 0.2)."""

    weight: float = 2.0
    scale: float = 5.0
    margin: float = 0.2


@dataclass(frozen=True)
class ConsistencyLoss:
    """VASA-1's l_consist as L1 and VGG at DPE's ratio 1 : 20; from `start`, ramped up linearly."""

    weight: float = 1.0
    pixel: float = 1.0
    perceptual: float = 20.0
    start: int = number(10_000, 0)
    ramp: int = number(10_000, 0)


@dataclass(frozen=True)
class CrossIdentityLoss:
    """VASA-1's l_cross_id, 1 - cosine of identity embeddings, ramped likewise."""

    weight: float = 5.0
    start: int = number(10_000, 0)
    ramp: int = number(10_000, 0)


@dataclass(frozen=True)
class PoseLabelLoss:
    """L1 to pose labels where present: angles on the circle (radians), translation, log scale.

    Not in VASA-1, which says nothing of what makes z_pose a pose; in MegaPortraits its encoder is
    pretrained and frozen (`train_face.freeze_pose`). The parts count by how far they move pixels: a
    degree of turn, 1/128 of translation and 2 % of scale alike.
    """

    weight: float = 50.0
    rotation: float = 1.0
    translation: float = 2.0
    log_scale: float = 0.5


@dataclass(frozen=True)
class GazeLabelLoss:
    """L1 on the circle to gaze labels (yaw, pitch; radians) where present."""

    weight: float = 0.0


@dataclass(frozen=True)
class ArkitLabelLoss:
    """Squared error of a linear read-out of z_dyn to ARKit coefficients, in the batch's spreads."""

    weight: float = 0.0
    floor: float = 0.1


@dataclass(frozen=True)
class FaceLossConfig:
    """Every loss of stage 1; a weight of 0 removes the loss and the passes it alone needs.

    masked: all image terms see only the foreground, where the batch has masks (MegaPortraits
    draws no background).
    """

    pixel: PixelLoss = field(default_factory=PixelLoss)
    perceptual: PerceptualLoss = field(default_factory=PerceptualLoss)
    self_drive: SelfLoss = field(default_factory=SelfLoss)
    face_features: FaceFeatureLoss = field(default_factory=FaceFeatureLoss)
    eyes: RegionLoss = field(default_factory=RegionLoss)
    mouth: RegionLoss = field(default_factory=RegionLoss)
    adversarial: AdversarialLoss = field(default_factory=AdversarialLoss)
    contrast: ContrastLoss = field(default_factory=ContrastLoss)
    consistency: ConsistencyLoss = field(default_factory=ConsistencyLoss)
    cross_identity: CrossIdentityLoss = field(default_factory=CrossIdentityLoss)
    pose: PoseLabelLoss = field(default_factory=PoseLabelLoss)
    gaze: GazeLabelLoss = field(default_factory=GazeLabelLoss)
    arkit: ArkitLabelLoss = field(default_factory=ArkitLabelLoss)
    transfer: TransferLoss = field(default_factory=TransferLoss)
    masked: bool = True

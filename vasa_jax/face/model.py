"""FaceModel: the face latent space of VASA-1 (section 3.1), encode, canonicalise, drive, decode."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from vasa_jax.config import FaceConfig
from vasa_jax.face.appearance import AppearanceEncoder
from vasa_jax.face.canonical import CanonicalNet
from vasa_jax.face.conv import LayerOptions
from vasa_jax.face.decoder import Decoder
from vasa_jax.face.identity import IdentityEncoder
from vasa_jax.face.motion import DynEncoder, PoseEncoder
from vasa_jax.face.sampling import sample_volume
from vasa_jax.face.warp import WarpGenerator, canonical_grid, driven_grid
from vasa_jax.typing import Array, Float, Image, Motion, Pose, Source

__all__ = ["Decoded", "FaceModel"]


class Decoded(NamedTuple):
    """A decoded image, float32 in [0, 1]; parts: what an extension's losses see of its making."""

    image: Image
    parts: Any = None


class FaceModel(nn.Module):
    """VASA-1's face latent space: appearance volume V, identity z_id, head pose z_pose, dynamics
    z_dyn; image = decode(encode_source(portrait), Motion(z_pose, z_dyn)).

    Images are (b, image_size, image_size, 3) in [0, 1].
    """

    config: FaceConfig
    dtype: DTypeLike = jnp.float32
    folded: bool = False
    """The parameters went through `fold_weight_standardisation`."""

    def setup(self):
        c = self.config
        options = LayerOptions(c.norm_groups, self.dtype, self.folded)
        self.appearance = AppearanceEncoder(c, options)
        self.identity = IdentityEncoder(c, options)
        self.pose = PoseEncoder(c, options)
        self.dyn = DynEncoder(c, options)
        self.embed = nn.Dense(c.embed_size**2 * c.embed_channels, dtype=self.dtype)
        self.warp_source = WarpGenerator(c, options)
        self.warp_driver = WarpGenerator(c, options)
        self.canonical = CanonicalNet(c, options)
        self.decoder = Decoder(c, options)

    def __call__(self, source_image: Image, driver_image: Image) -> Image:
        """The driver's motion on the source's face; uses every parameter."""
        return self.decode(self.encode_source(source_image), self.encode_motion(driver_image))

    def encode_motion(self, image: Image) -> Motion:
        """z_pose and z_dyn of each image."""
        return Motion(self.encode_pose(image), self.dyn(image))

    def encode_pose(self, image: Image) -> Pose:
        """z_pose of each image."""
        return self.pose(image)

    def encode_source(self, image: Image, motion: Motion | None = None) -> Source:
        """Canonical appearance volume and z_id of each portrait: once per person.

        motion: the portrait's own, if it is known already; else it is encoded here.
        """
        motion = self.encode_motion(image) if motion is None else motion
        identity = self.identity(image)
        # Take pose and expression out of the posed volume: one resample, then G3D.
        delta = self.warp_source(self.dyn_map(motion), identity)
        posed = self.appearance(image)
        volume = self.canonical(sample_volume(posed, canonical_grid(motion.pose, delta)))
        return Source(volume, identity, motion.pose)

    def encode_portrait(self, image: Image) -> Source:
        """`encode_source` for inference."""
        return self.encode_source(image)

    def decode(self, source: Source, motion: Motion) -> Image:
        """One image per motion, float32 in [0, 1]: all that runs per frame. Batch of the source: 1
        or the motion's."""
        return self.decode_parts(source, motion).image

    def decode_parts(self, source: Source, motion: Motion) -> Decoded:
        """`decode`'s image and, in extensions, what it was made of."""
        # Put the motion into the canonical volume: one resample.
        delta = self.warp_driver(self.dyn_map(motion), source.identity)
        volume = sample_volume(source.volume, driven_grid(motion.pose, delta))
        return Decoded(self.decoder(volume))

    def transfer(self, source_image: Image, pose_image: Image, dyn_image: Image) -> Image:
        """The source's face with the head pose of one image and the dynamics of another."""
        pose = self.encode_pose(pose_image)
        dyn = self.encode_motion(dyn_image).dyn
        return self.decode(self.encode_source(source_image), Motion(pose, dyn))

    def dyn_map(self, motion: Motion) -> Float[Array, "b s s c"]:
        """z_dyn as the map that the warp generators add to z_id."""
        s, e = self.config.embed_size, self.config.embed_channels
        return self.embed(motion.dyn).reshape(-1, s, s, e)

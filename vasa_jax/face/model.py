"""FaceModel: the face latent space of VASA-1 (section 3.1), encode, canonicalise, drive, decode."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vasa_jax.config import FaceConfig
from vasa_jax.face.appearance import AppearanceEncoder, Context
from vasa_jax.face.compose import Composed, Surface, compose, hint, shrink
from vasa_jax.face.conv import Style
from vasa_jax.face.decoder import Decoder
from vasa_jax.face.dyn_maps import DynMaps
from vasa_jax.face.identity import IdentityEncoder
from vasa_jax.face.motion import DynEncoder, PoseEncoder
from vasa_jax.face.mouth import MouthFinder, MouthTexture
from vasa_jax.face.plate import Person, own_background, take_out
from vasa_jax.face.pose import mirror_pose
from vasa_jax.face.sampling import sample_volume
from vasa_jax.face.volume import CanonicalNet
from vasa_jax.face.warp import WarpGenerator, canonical_grid, driven_grid
from vasa_jax.typing import Array, Float, Image, Motion, Pose, Source

__all__ = ["FaceModel", "parameter_table"]


class FaceModel(nn.Module):
    """Four encoders and one decoder; images are (b, image_size, image_size, 3) in [0, 1]; under
    `network_size` all networks but the motion encoders see them smaller.

    folded: the parameters went through `fold_weight_standardisation`.
    """

    config: FaceConfig
    dtype: DTypeLike = jnp.float32
    folded: bool = False

    def setup(self):
        c = self.config
        style = Style(c.norm_groups, self.dtype, self.folded)
        self.appearance = AppearanceEncoder(c, style)
        self.identity = IdentityEncoder(c, style)
        self.pose = PoseEncoder(c, style)
        self.dyn = DynEncoder(c, style)
        self.embed = nn.Dense(c.embed_size**2 * c.embed_channels, dtype=self.dtype)
        self.warp_source = WarpGenerator(c, style)
        self.warp_driver = WarpGenerator(c, style)
        if c.dyn_maps:
            self.maps_source = DynMaps(c.dyn_maps, c.volume_size)
            self.maps_driver = DynMaps(c.dyn_maps, c.volume_size, c.volume_channels)
        if c.compose:
            self.surface = Surface()
        if c.compose_context:
            self.context = Context(c.compose_context, style)
        if c.compose_plate:
            self.person = Person(style)
        if c.compose_mouth:
            self.mouth_finder = MouthFinder(style)
            self.mouth = MouthTexture(c.compose_mouth)
        self.canonical = CanonicalNet(c, style)
        self.decoder = Decoder(c, style)

    def __call__(self, source_image: Image, driver_image: Image) -> Image:
        """The driver's motion on the source's face: touches every parameter."""
        return self.decode(self.encode_source(source_image), self.encode_motion(driver_image))

    def encode_motion(self, image: Image) -> Motion:
        """z_pose and z_dyn of each image."""
        pose = self.encode_pose(image)
        return Motion(pose, self.dyn(image, pose))

    def encode_pose(self, image: Image) -> Pose:
        """z_pose of each image."""
        if not self.config.pose_mirrored:
            return self.pose(image)
        # One beside the other, so that an example's two stay on its device.
        both = self.pose(jnp.stack([image, image[:, :, ::-1]], 1).reshape(-1, *image.shape[1:]))
        pose, mirrored = (Pose(*(x[k::2] for x in both)) for k in range(2))
        return jax.tree.map(lambda a, b: (a + b) / 2, pose, mirror_pose(mirrored))

    def encode_source(self, image: Image, motion: Motion | None = None) -> Source:
        """Canonical appearance volume and z_id of each portrait: once per person.

        motion: the portrait's own motion where it is known already (or known exactly, as for
        rendered heads); else it is encoded here.
        """
        motion = self.encode_motion(image) if motion is None else motion
        small = shrink(image, self.config.drawn_size)
        identity = self.identity(small)
        # Take pose and expression out of the posed volume: one resample, then G3D.
        delta = self.warp_source(self._dyn_map(motion), identity)
        if self.config.dyn_maps:
            delta = delta + self.maps_source(motion.dyn)[0]
        grid = canonical_grid(motion.pose, delta)
        posed = self.appearance(small)
        volume = self.canonical(sample_volume(posed, grid))
        source = Source(volume, identity, motion.pose)
        if self.config.compose:
            source = source._replace(portrait=image, places=grid)
        if self.config.compose_context:
            source = source._replace(context=self.context(posed))
        if self.config.compose_mouth:
            seen, mouth = self.mouth_finder(posed, motion)
            source = source._replace(mouth_seen=seen, mouth=mouth)
        if self.config.compose_plate:
            person = self.person(posed)
            source = source._replace(plate=take_out(image, person), person=person)
        return source

    def encode_portrait(self, image: Image) -> Source:
        """`encode_source` for inference: under `face.compose_plate` the plate is made anew from the
        portrait decoded with its own motion."""
        motion = self.encode_motion(image)
        source = self.encode_source(image, motion)
        if not self.config.compose_plate:
            return source
        own = self.decode_parts(source, motion)
        return source._replace(plate=own_background(image, own, source.person.shape[1]))

    def decode(self, source: Source, motion: Motion) -> Image:
        """One image per motion, float32 in [0, 1]: all that runs per frame. Source batch: 1 or
        motion's."""
        return self.decode_parts(source, motion).picture

    def decode_parts(self, source: Source, motion: Motion) -> Composed:
        """`decode`'s image and what it is made of."""
        dyn = self._dyn_map(motion)
        # Put the motion into the canonical volume: one resample.
        delta, volume = self.warp_driver(dyn, source.identity), source.volume
        if self.config.dyn_maps:
            moved, features = self.maps_driver(motion.dyn)
            delta, volume = delta + moved, volume + features.astype(volume.dtype)
        grid = driven_grid(motion.pose, delta)
        volume = sample_volume(volume, grid)
        embed = 0.5 * (dyn + source.identity) if self.config.decoder_dyn else None
        if not self.config.compose:
            picture = self.decoder(volume, embed)
            return Composed(picture, picture)
        places, seen = sample_volume(source.places, grid, "border"), self.surface(grid)
        told = None
        if self.config.compose_context:
            told = hint(source.context, places, seen)
        layers = self.decoder(volume, embed, told)
        layers = layers._replace(depth=layers.depth + seen)
        inside = None
        if self.config.compose_mouth:
            size = source.portrait.shape[1]
            inside = self.mouth(motion, source.identity, source.mouth, size)
        made = compose(layers, places, source.portrait, source.plate, inside)
        return made._replace(person=source.person, mouth_seen=source.mouth_seen)

    def transfer(self, source_image: Image, pose_image: Image, dyn_image: Image) -> Image:
        """The source's face with the head pose of one image and the dynamics of another."""
        pose = self.encode_pose(pose_image)
        dyn = self.encode_motion(dyn_image).dyn
        return self.decode(self.encode_source(source_image), Motion(pose, dyn))

    def _dyn_map(self, motion: Motion) -> Float[Array, "b s s c"]:
        s, e = self.config.embed_size, self.config.embed_channels
        return self.embed(motion.dyn).reshape(-1, s, s, e)


def parameter_table(config: FaceConfig) -> dict[str, int]:
    """Number of parameters of each part and in "total", from shapes alone."""
    size = config.image_size
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    init: Callable = FaceModel(config).init
    params = jax.eval_shape(init, jax.random.key(0), image, image)["params"]
    parts = {
        "appearance": ("appearance", "context", "person"),
        "identity": ("identity",),
        "dyn": ("dyn",),
        "pose": ("pose",),
        "embed": ("embed",),
        "warps": ("warp_source", "warp_driver", "maps_source", "maps_driver"),
        "canonical": ("canonical",),
        "decoder": ("decoder", "surface", "mouth", "mouth_finder"),
    }
    table = {
        name: sum(
            math.prod(x.shape) for k in keys if k in params for x in jax.tree.leaves(params[k])
        )
        for name, keys in parts.items()
    }
    return table | {"total": sum(table.values())}

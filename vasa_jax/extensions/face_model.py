"""The face model with the extensions that its config switches on.

What VASA-1 does instead stands in `FaceModel`; why `demo` needs each, in `vasa_jax.extensions`.
"""

from typing import NamedTuple

import flax.linen as nn

from vasa_jax.extensions.blendshape_maps import BlendshapeMaps
from vasa_jax.extensions.compositing.background import (
    ForegroundHead,
    inpaint_background,
    own_background,
)
from vasa_jax.extensions.compositing.blend import blend
from vasa_jax.extensions.compositing.decoder import (
    ExtendedDecoder,
    PortraitFeatures,
    VisibleDepthPrior,
    features_in_view,
)
from vasa_jax.extensions.compositing.resample import shrink
from vasa_jax.extensions.face_crop import face_crop
from vasa_jax.extensions.pose_flip import flip_averaged
from vasa_jax.face.appearance import AppearanceEncoder
from vasa_jax.face.canonical import CanonicalNet
from vasa_jax.face.conv import LayerOptions
from vasa_jax.face.identity import IdentityEncoder
from vasa_jax.face.model import Decoded, FaceModel
from vasa_jax.face.motion import DynEncoder, PoseEncoder
from vasa_jax.face.resize import linear_up2
from vasa_jax.face.sampling import sample_volume
from vasa_jax.face.warp import WarpGenerator, canonical_grid, driven_grid
from vasa_jax.typing import Array, Float, Grid, Image, Motion, Pose, Source

__all__ = ["ExtendedFaceModel", "PortraitLayers"]


class PortraitLayers(NamedTuple):
    """What compositing keeps of a portrait (`Source.extension`); None: switched off."""

    portrait: Image
    source_coords: Grid
    """Where in the portrait's posed volume each canonical voxel was read."""
    features: Float[Array, "b h w k"] | None = None
    background: Image | None = None
    foreground_logits: Float[Array, "b i j 1"] | None = None


class ExtendedFaceModel(FaceModel):
    """`FaceModel` with the extensions of `config.extensions`. Images are (b, image_size,
    image_size, 3); all networks but the motion encoders see and draw `config.network_size`."""

    def setup(self):
        c, e = self.config, self.config.extensions
        options = LayerOptions(c.norm_groups, self.dtype, self.folded)
        self.appearance = AppearanceEncoder(c, options)
        self.identity = IdentityEncoder(c, options)
        self.pose = PoseEncoder(c, options)
        self.dyn = DynEncoder(c, options, e.dyn_crop or c.motion_image_size)
        self.embed = nn.Dense(c.embed_size**2 * c.embed_channels, dtype=self.dtype)
        self.warp_source = WarpGenerator(c, options, c.field_size)
        self.warp_driver = WarpGenerator(c, options, c.field_size)
        if e.blendshape_maps:
            self.maps_source = BlendshapeMaps(e.blendshape_maps, c.volume_size)
            self.maps_driver = BlendshapeMaps(e.blendshape_maps, c.volume_size, c.volume_channels)
        # Explicit names are those of the shipped weights.
        if e.compositing:
            self.depth_prior = VisibleDepthPrior(name="surface")
        if e.portrait_features:
            self.features = PortraitFeatures(e.portrait_features, options, name="context")
        if e.background:
            self.foreground = ForegroundHead(options, name="person")
        self.canonical = CanonicalNet(c, options)
        self.decoder = ExtendedDecoder(c, options)

    def encode_motion(self, image: Image) -> Motion:
        pose, size = self.encode_pose(image), self.config.extensions.dyn_crop
        return Motion(pose, self.dyn(face_crop(image, pose, size) if size else image))

    def encode_pose(self, image: Image) -> Pose:
        if self.config.extensions.pose_flip_average:
            return flip_averaged(self.pose, image)
        return self.pose(image)

    def encode_source(self, image: Image, motion: Motion | None = None) -> Source:
        e = self.config.extensions
        motion = self.encode_motion(image) if motion is None else motion
        small = shrink(image, self.config.network_size)
        identity = self.identity(small)
        delta = self._field(self.warp_source(self.dyn_map(motion), identity))
        if e.blendshape_maps:
            delta = delta + self.maps_source(motion.dyn)[0]
        grid = canonical_grid(motion.pose, delta)
        posed = self.appearance(small)
        volume = self.canonical(sample_volume(posed, grid))
        source = Source(volume, identity, motion.pose)
        if not e.compositing:
            return source
        kept = PortraitLayers(image, grid)
        if e.portrait_features:
            kept = kept._replace(features=self.features(posed))
        if e.background:
            logits = self.foreground(posed)
            background = inpaint_background(image, logits)
            kept = kept._replace(background=background, foreground_logits=logits)
        return source._replace(extension=kept)

    def encode_portrait(self, image: Image) -> Source:
        """`encode_source` for inference: the background is inpainted anew by the blend of the
        portrait's own reconstruction."""
        motion = self.encode_motion(image)
        source = self.encode_source(image, motion)
        if not self.config.extensions.background:
            return source
        own = self.decode_parts(source, motion).parts
        cells = source.extension.foreground_logits.shape[1]
        kept = source.extension._replace(background=own_background(image, own, cells))
        return source._replace(extension=kept)

    def decode_parts(self, source: Source, motion: Motion) -> Decoded:
        e, dyn = self.config.extensions, self.dyn_map(motion)
        delta = self._field(self.warp_driver(dyn, source.identity))
        volume = source.volume
        if e.blendshape_maps:
            moved, features = self.maps_driver(motion.dyn)
            delta, volume = delta + moved, volume + features.astype(volume.dtype)
        grid = driven_grid(motion.pose, delta)
        volume = sample_volume(volume, grid)
        embed = 0.5 * (dyn + source.identity) if e.decoder_embed else None
        if not e.compositing:
            return Decoded(self.decoder(volume, embed))
        kept: PortraitLayers = source.extension
        coords, depth = sample_volume(kept.source_coords, grid, "border"), self.depth_prior(grid)
        features = kept.features
        seen = None if features is None else features_in_view(features, coords, depth)
        layers = self.decoder(volume, embed, seen)
        layers = layers._replace(depth_logits=layers.depth_logits + depth)
        image, parts = blend(layers, coords, kept.portrait, kept.background)
        parts = parts._replace(foreground_logits=kept.foreground_logits)
        return Decoded(image, parts)

    def _field(self, delta: Grid) -> Float[Array, "b d h2 w2 3"]:
        """A displacement field, enlarged to the volume's height and width."""
        while delta.shape[2] < self.config.volume_size:
            delta = linear_up2(delta, (2, 3))
        return delta

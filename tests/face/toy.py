"""A face model of matrices, and networks, batch and config for its losses."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vasa_jax.config import apply_overrides, get_config
from vasa_jax.config.losses import FaceLossConfig
from vasa_jax.extensions.compositing.blend import CompositeOutput
from vasa_jax.extensions.objective import objective_terms, run_face_model
from vasa_jax.face import forward
from vasa_jax.face.model import Decoded
from vasa_jax.means import add_up
from vasa_jax.perception.align import Alignment
from vasa_jax.perception.identity import IdentityNetwork
from vasa_jax.training import face_batches as face_batch
from vasa_jax.typing import Motion, Pose, Source

SIZE, B = 32, 4
TEMPLATE = ((5.0, 5.0), (11.0, 5.0), (8.0, 8.0), (6.0, 12.0), (10.0, 12.0))
RNG = np.random.default_rng(0)


def changed(batch, **parts):
    """The batch with other parts, by their names in files."""
    return face_batch.from_named(face_batch.named(batch) | parts)


EYE = jnp.asarray(RNG.normal(size=(16 * 16 * 3, 6)) * 0.1, jnp.float32)
IDENTITY = IdentityNetwork(
    lambda chips: (chips.reshape(chips.shape[0], -1) @ EYE, (chips[:, ::2, ::2] * 2,)),
    Alignment(TEMPLATE, 16),
)
NETWORKS = forward.FaceNetworks(
    vgg=lambda x: tuple(nn.avg_pool(x, (n, n), (n, n)) for n in (1, 2, 4, 8, 16)),
    identity=IDENTITY,
)
CONFIG = dataclasses.replace(
    FaceLossConfig(),
    adversarial=dataclasses.replace(FaceLossConfig().adversarial, weight=0.0, feature_matching=0.0),
)
BATCH = jax.tree.map(
    jnp.asarray,
    face_batch.random(apply_overrides(get_config("debug"), [f"face.image_size={SIZE}"]), B),
)


def only(**weights):
    """CONFIG with every weight 0 but those named."""
    sections = {
        f.name: dataclasses.replace(getattr(CONFIG, f.name), weight=weights.get(f.name, 0.0))
        for f in dataclasses.fields(CONFIG)
        if f.name != "masked"
    }
    return dataclasses.replace(CONFIG, **sections)


class Toy(nn.Module):
    """A face model of matrices. Entangled: it decodes the pose of the image its source came from.

    An image is base[identity pixel 0] + pose . P + dyn . D, so the factored model can be exact.
    """

    entangled: bool = False

    def setup(self):
        self.dyn_head = nn.Dense(6)
        self.pose_head = nn.Dense(7)
        self.appearance = nn.Dense(16)
        self.paint = nn.Dense(SIZE * SIZE * 3)

    def encode_motion(self, image):
        x = image.reshape(image.shape[0], -1)
        p = self.pose_head(x)
        return Motion(Pose(p[:, :3], p[:, 3:6], p[:, 6:]), self.dyn_head(x))

    def encode_source(self, image, motion):
        # Factored: only what two frames of one clip share, here the corner pixel.
        x = image.reshape(image.shape[0], -1) if self.entangled else image[:, 0, 0]
        volume = self.appearance(x)[:, None, None, None]
        return Source(volume, volume[:, 0])

    def decode(self, source, motion):
        x = [source.volume[:, 0, 0, 0], *motion.pose, motion.dyn]
        y = self.paint(jnp.concatenate(x, -1))
        return nn.sigmoid(y).reshape(-1, SIZE, SIZE, 3)

    def decode_parts(self, source, motion):
        picture = self.decode(source, motion)
        return Decoded(picture, CompositeOutput(1 - nn.avg_pool(picture, (2, 2), (2, 2))))

    def __call__(self, image):
        motion = self.encode_motion(image)
        return self.decode(self.encode_source(image, motion), motion)


def variables(toy):
    return toy.init(jax.random.key(0), BATCH.source.image)


def outputs_of(config, face, batch, motions=None, scan=False):
    if motions is None:
        motions = tuple(face.encode_motion(view) for view in (batch.source.view, batch.driver.view))
    return run_face_model(config, face, batch, motions, scan)


def face_loss(config, batch, outputs, networks, step=None, readings=None):
    """The total and each loss by name."""
    terms = objective_terms(config, batch, outputs, readings or {}, networks, step)
    total, values = add_up(terms)
    return total, {f"loss/{name}": value for name, value in values.items()} | {"loss/total": total}


def value_and_grad(config, batch=BATCH, toy=None, networks=NETWORKS, step=None):
    toy = toy or Toy(entangled=True)

    def loss(params):
        face = forward.bind(toy, {"params": params})
        out = outputs_of(config, face, batch)
        return face_loss(config, batch, out, networks, step)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables(toy)["params"])


def moved(grads):
    return {k for k, v in grads.items() if max(jnp.abs(x).max() for x in jax.tree.leaves(v)) > 0}

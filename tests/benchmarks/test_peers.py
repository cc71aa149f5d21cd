"""The torch peers compute what we compute: else their timings would mean nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from peers.run import difference, pairs, spread
from peers.torch_decoder import TorchDecoder, load_flax, to_torch_volume

from vasa_jax.config import get_config
from vasa_jax.face.conv import LayerOptions, fold_weight_standardisation
from vasa_jax.face.decoder import Decoder


def random_like(shapes, rng):
    """Every parameter random, norms' gains and biases too."""
    return jax.tree.map(
        lambda s: jnp.asarray(rng.standard_normal(s.shape) * 0.3 + 0.1, jnp.float32), shapes
    )


@pytest.mark.parametrize("name", ["debug", "demo"])
def test_torch_decoder_is_ours(name):
    overrides = (
        []
        if name == "debug"
        else [
            "face.image_size=64",
            "face.extensions.network_size=0",
            "face.decoder_blocks=1",
            "face.warp_widths=32,16",
            "face.volume_depth=4",
            "face.extensions.portrait_features=0",
            "face.extensions.background=false",
            "face.extensions.compositing=false",
            "face.extensions.decoder_embed=false",
        ]
    )
    face = get_config(name, overrides).face
    rng = np.random.default_rng(0)
    size = face.volume_size
    shape = (2, face.volume_depth, size, size, face.volume_channels)
    model = Decoder(face, LayerOptions(face.norm_groups, folded=True))
    spec = jax.ShapeDtypeStruct(shape, jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), spec)["params"]
    params = fold_weight_standardisation(random_like(shapes, rng))
    volume = rng.standard_normal(shape).astype(np.float32)
    ours = jax.jit(model.apply)({"params": params}, volume)
    twin = load_flax(TorchDecoder(face), params)
    with torch.no_grad():
        theirs = twin(to_torch_volume(volume)).permute(0, 2, 3, 1)
    assert theirs.shape == ours.shape
    assert np.asarray(ours).std() > 0.01
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert difference(ours, theirs) < 1e-4
    assert sum(p.numel() for p in twin.parameters()) == sum(x.size for x in jax.tree.leaves(params))


def test_a_parameter_without_a_partner_is_found():
    face = get_config("debug").face
    twin = TorchDecoder(face)
    with pytest.raises(RuntimeError, match="Missing key"):
        load_flax(twin, {"head": {"bias": np.zeros(3)}})


def test_pairs_are_interleaved_and_the_first_is_not_counted():
    order = []
    times = pairs(lambda: order.append("a"), lambda: order.append("b"), 3)
    assert "".join(order) == "ba" + "ab" + "ba" + "ab"
    assert len(times["ours"]) == len(times["theirs"]) == 3
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}

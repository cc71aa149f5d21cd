"""The weight zoo: name, source, licence, sha256, download and conversion of frozen networks."""

from vasa_jax.zoo.entries import File, Weight, get_weight, weights
from vasa_jax.zoo.own import OwnWeight, own_weights
from vasa_jax.zoo.readers import load_arrays, load_tfjs
from vasa_jax.zoo.store import cached_path, convert, ensure, fetch, is_cached, weight_dir

__all__ = [
    "File",
    "OwnWeight",
    "Weight",
    "cached_path",
    "convert",
    "ensure",
    "fetch",
    "get_weight",
    "is_cached",
    "load_arrays",
    "load_tfjs",
    "own_weights",
    "weight_dir",
    "weights",
]

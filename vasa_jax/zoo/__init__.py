"""The weight zoo: name, source, licence, sha256, download and conversion of frozen networks."""

from vasa_jax.zoo.entries import File, Weight, get_weight, weights
from vasa_jax.zoo.manual import ManualWeight, manual_weights
from vasa_jax.zoo.readers import load_arrays, load_tfjs
from vasa_jax.zoo.store import cached_path, convert, ensure, fetch, is_cached, weight_dir

__all__ = [
    "File",
    "ManualWeight",
    "Weight",
    "cached_path",
    "convert",
    "ensure",
    "fetch",
    "get_weight",
    "is_cached",
    "load_arrays",
    "load_tfjs",
    "manual_weights",
    "weight_dir",
    "weights",
]

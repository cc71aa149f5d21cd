"""JAX's persistent compilation cache in the user's cache folder."""

import hashlib
import warnings
from pathlib import Path

import jax

from vasa_jax.cache import cache_dir
from vasa_jax.errors import UserError

QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiler options of programs that draw thousands of small random arrays and run once: compiling
them well takes minutes on a CPU and gains nothing."""


def enable_compile_cache() -> Path | None:
    """Point JAX at `<cache>/xla/<machine>` and keep every program; returns the folder.

    The folder is split by processor features, because a home folder may be shared by machines
    whose compiled CPU programs differ. A cache folder that cannot be made only costs speed: None.
    """
    try:
        folder = cache_dir("xla") / _machine()
    except UserError:
        return None
    # One that can be read only (an image with programs in it) is of use, and JAX would warn of
    # every program that it cannot keep.
    warnings.filterwarnings("ignore", "Error writing persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "any"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(flags.encode()).hexdigest()[:12]

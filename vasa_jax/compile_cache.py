"""JAX's persistent compilation cache, in the user's cache folder or where JAX was told."""

import hashlib
import os
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

    $JAX_COMPILATION_CACHE_DIR (a folder, or a bucket as gs://) comes first and stays as it is: the
    programs are kept there, and None is returned. Else the folder is split by processor features,
    because a home folder may be shared by machines whose compiled CPU programs differ. A cache
    folder that cannot be made only costs speed: None.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        _keep_everything()
        return None
    try:
        folder = cache_dir("xla") / _machine()
    except UserError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    _keep_everything()
    return folder


def _keep_everything() -> None:
    """Programs that compile quickly, too."""
    # One that can be read only (an image with programs in it) is of use, and JAX would warn of
    # every program that it cannot keep.
    warnings.filterwarnings("ignore", "Error writing persistent compilation cache")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "any"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(flags.encode()).hexdigest()[:12]

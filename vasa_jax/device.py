"""The reason why JAX finds no device, in one line."""

import os
import sys


def device_problem() -> str | None:
    """What is wrong with JAX's devices and what to do; None where all is well, or JAX unused."""
    if (jax := sys.modules.get("jax")) is None:
        return None
    try:
        jax.devices()
    except Exception as error:
        # `assert _default_backend is not None`, without words, where a platform is asked for
        # whose plug-in is not installed.
        why = f" ({' '.join(str(error).split())})" if str(error) else ""
        asked = os.environ.get("JAX_PLATFORMS") or jax.config.jax_platforms
        if not asked:
            return f"JAX finds no device{why}; set JAX_PLATFORMS=cpu to work on the processor"
        return (
            f"JAX finds no device of JAX_PLATFORMS={asked}{why}; install JAX for it (for an NVIDIA "
            "GPU the extra cuda13 or cuda12 of this package), or set JAX_PLATFORMS=cpu"
        )
    return None

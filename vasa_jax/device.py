"""What JAX's devices are, and the platform that programs are traced for."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar

_TARGET: ContextVar[str | None] = ContextVar("target", default=None)


def target_platform() -> str:
    """The platform whose fastest form of an operation is traced: "cpu", "cuda", "tpu" …; this
    machine's unless within `tracing_for`."""
    import jax

    return _TARGET.get() or jax.default_backend()


@contextlib.contextmanager
def tracing_for(platform: str) -> Iterator[None]:
    """Within the block functions are traced as that platform has them, to be lowered for it.

    JAX's caches hold no platform, so they are emptied at both ends.
    """
    import jax

    jax.clear_caches()
    token = _TARGET.set(platform)
    try:
        yield
    finally:
        _TARGET.reset(token)
        jax.clear_caches()


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

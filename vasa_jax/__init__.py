"""VASA-1 (arXiv 2404.10667) in JAX/Flax: a portrait and speech in, a talking face out."""

from pathlib import Path

__version__ = "0.2.0"

# In a wheel, `configs/` and `data_pipeline/` lie inside this package, so that no generic name
# reaches site-packages. In a checkout they lie beside it; this makes both import alike.
_root = Path(__file__).resolve().parent.parent
if (_root / "configs" / "debug.py").is_file() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))
del _root


def __getattr__(name: str):
    # Loaded when asked for: `import vasa_jax` alone imports neither JAX nor PyAV.
    if name == "Pipeline":
        from vasa_jax.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module 'vasa_jax' has no attribute {name!r}")

"""Weights by name for the Python interface: a config, a folder, or the Hugging Face hub."""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from vasa_jax.bundle import Bundle, load_bundle, resolve_config, save_bundle
from vasa_jax.bundle_places import HUB, resolve_folder
from vasa_jax.errors import UserError

__all__ = ["find_bundle", "model_card", "push_bundle", "save_as"]

CARD = "README.md"
DTYPES = ("float32", "bfloat16", "int8")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?")


def find_bundle(name: str | os.PathLike, overrides: Sequence[str] = ()) -> Bundle:
    """The bundle of a folder, of "hf://OWNER/NAME[@REVISION]" or "OWNER/NAME" on the hub, or the
    shipped one of a config (in a wheel `vasa-jax-weights-NAME`, or in this package).

    A folder goes before a repository of the same name. Raises UserError where there is none.
    """
    text = os.fspath(name)
    if Path(name).is_dir():
        return load_bundle(Path(name), None, overrides)
    address = text if text.startswith(HUB) else f"hf://{text}" if _HUB_NAME.fullmatch(text) else ""
    if address:
        try:
            folder = resolve_folder(None, address)
        except UserError as error:
            raise UserError(str(error).replace(f"--checkpoint {address}", text)) from None
        assert folder is not None
        return load_bundle(folder, None, overrides)
    if isinstance(name, os.PathLike) or os.sep in text:
        return load_bundle(Path(name), None, overrides)  # says what is missing there
    resolve_config(text, None, overrides)  # an unknown name or key fails here
    folder = resolve_folder(text, None)
    if folder is None:
        raise UserError(
            f"no weights are shipped for config {text!r}: train it and give the folder that "
            "`vasa-jax export` writes"
        )
    return load_bundle(folder, text, overrides)


def save_as(folder: Path, bundle: Bundle, dtype: str = "float32") -> None:
    """Write a bundle with parameters of one of `DTYPES`."""
    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    save_bundle(folder, bundle, jnp.dtype(dtype))


def model_card(bundle: Bundle) -> str:
    """A card with the metadata that the hub shows; its text is for the model's author to write."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        library_name="vasa-jax",
        pipeline_tag="image-to-video",
        tags=["talking-head", "audio-driven", "jax", "flax", "vasa-1"],
    )
    return f"""---
{data.to_yaml().strip()}
---

# {bundle.config.name}

A talking-head model of vasa_jax, an unofficial implementation of VASA-1 (arXiv 2404.10667) in JAX.

```python
import vasa_jax

pipe = vasa_jax.Pipeline.from_pretrained("OWNER/NAME")
pipe("face.jpg", "speech.wav").save("out.mp4")
```

Animate only people who agreed to it, and say that the result is synthetic.
"""


def push_bundle(
    bundle: Bundle,
    repo_id: str,
    dtype: str,
    *,
    token: str | None,
    private: bool | None,
    branch: str | None,
    **upload: Any,
) -> str:
    """Create the repository if it does not exist, and upload config, weights and, unless it has
    one, a card in one commit; returns the commit's address. upload: see `HfApi.upload_folder`."""
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        save_as(folder, bundle, dtype)
        try:
            api = HfApi(token=token)
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            if branch is not None:
                api.create_branch(repo_id, branch=branch, exist_ok=True)
            if not api.file_exists(repo_id, CARD, revision=branch):
                (folder / CARD).write_text(model_card(bundle).replace("OWNER/NAME", repo_id))
            made = api.upload_folder(
                repo_id=repo_id,
                repo_type="model",
                folder_path=folder,
                revision=branch,
                **upload,
            )
        except Exception as error:  # the hub has many kinds, and the network's beside them
            why = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(
                f"{repo_id}: cannot be uploaded ({why[0]}); check name, network and token "
                "(`hf auth login`)"
            ) from None
    return str(made)

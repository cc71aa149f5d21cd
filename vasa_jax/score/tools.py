"""The instruments of a run, and what identifies them in the cache and in the report."""

import hashlib
import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vasa_jax.audio.silero import voice_activity
from vasa_jax.bundle_places import shipped_folder
from vasa_jax.capp.score import load as load_capp
from vasa_jax.data_pipeline.prepare.labels import NUMBERS, Labellers
from vasa_jax.errors import UserError
from vasa_jax.evaluation.face_analysis import lpips_distance
from vasa_jax.perception.identity import identity_vectors
from vasa_jax.score import codec
from vasa_jax.score.metrics.identity import SIDE
from vasa_jax.score.metrics.soft_dtw import divergence
from vasa_jax.score.types import Metric, Spec, Tools, Track
from vasa_jax.sync.av_sync import load as load_av_sync
from vasa_jax.sync.syncnet import load as load_syncnet

SHIPPED = ("av_sync", "capp_synthetic")
"""Networks that ship."""
NO_SYNCNET = "SyncNet's weights ship in no package; give the public file by --syncnet FILE"
NO_CAPP = "VASA-1's CAPP was never published; give one of `vasa-jax train capp` by --capp DIR"


class Choices(NamedTuple):
    """What the user chose."""

    labellers: Labellers
    syncnet: Path | None = None
    capp: Path | None = None
    plugins: tuple[str, ...] = ()  # NAME=module:attribute
    codec: bool = True
    stills: int = 16  # frames that are looked at by networks of pictures, at least
    fvd_runs: int = 0  # of 25 frames, at least; 0: no Frechet distance


def make_tools(choices: Choices) -> Tools:
    """Instruments, none of them made yet but those that the user named.

    Raises UserError for a file or folder of the user's that is not what it should be.
    """
    choices.labellers.load(NUMBERS)
    makers: dict[str, Callable[[], Any] | str] = {
        "identity": lambda: identity_vectors(SIDE),
        "lpips": lpips_distance,
        "vad": voice_activity,
        "soft-dtw": divergence,
        "codec": lambda: codec.through_aac if choices.codec else _unchanged,
        "av_sync": load_av_sync,
        "capp_synthetic": load_capp,
        "capp": NO_CAPP,
        "syncnet": NO_SYNCNET,
    }
    # What the user names must be what it should be: made now, so that a mistake is said at once.
    if choices.syncnet is not None:
        score = load_syncnet(choices.syncnet)
        makers["syncnet"] = lambda: score
    if choices.capp is not None:
        own = load_capp(choices.capp)
        makers["capp"] = lambda: own
    return Tools(makers)


def _unchanged(waveform: Any) -> Any:
    return waveform


def load_plugins(texts: Sequence[str]) -> tuple[Metric, ...]:
    """Metrics of the user's, each from NAME=module:attribute.

    The attribute is a class without arguments, as of a labeller; its object is called with (track,
    real track or None), both `vasa_jax.score.types.Track`, and gives a number, NaN where it is not
    defined. Its attributes `unit`, `best` ("high", "low", ...) and `paired` are optional. Raises
    UserError for another form, a name twice, and what cannot be imported.
    """
    found: dict[str, Metric] = {}
    for text in texts:
        name, _, target = text.partition("=")
        module, _, attribute = target.partition(":")
        if not name.isidentifier() or not module or not attribute.isidentifier():
            raise UserError(
                f"--metric {text!r} is not of the form NAME=module:attribute, for example "
                "topiq=my_package.nets:Topiq"
            )
        if name in found:
            raise UserError(f"the metric {name!r} is named twice: name it once")
        found[name] = _plugin(name, target, _imported(text, module, attribute)())
    return tuple(found.values())


def _imported(text: str, module: str, attribute: str) -> Callable[[], Any]:
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"--metric {text} cannot be imported ({error}): is the package installed, or its "
            "folder in PYTHONPATH?"
        ) from None


def _plugin(name: str, target: str, instrument: Any) -> Metric:
    if not callable(instrument):
        raise UserError(f"--metric {name}={target}: {target}() is not callable; it must measure")
    spec = Spec(
        name,
        str(getattr(instrument, "unit", "")),
        str(getattr(instrument, "best", "as the real videos")),
        f"--metric {target}",
    )

    def measure(track: Track, reference: Track | None, tools: Tools) -> dict[str, float]:
        return {name: float(instrument(track, reference))}

    return Metric(name, {name: spec}, measure, bool(getattr(instrument, "paired", False)))


def describe(choices: Choices) -> dict[str, Any]:
    """All that figures depend on besides the videos, JSON-ready. No paths: files by their hashes.

    Raises UserError for files that cannot be read.
    """
    names = {text: source_digest(text.partition("=")[2]) for text in choices.plugins}
    return {
        "labellers": {
            kind: [name, source_digest(name)] for kind, name in choices.labellers.names.items()
        },
        "metrics": names,
        "syncnet": None if choices.syncnet is None else digest(choices.syncnet),
        "capp": None if choices.capp is None else digest(choices.capp),
        "shipped": {name: digest(place) for name, place in _shipped().items()},
        "codec": codec.WORDS if choices.codec else None,
        "stills": choices.stills,
        "fvd_runs": choices.fvd_runs,
    }


def _shipped() -> dict[str, Path]:
    """Folders of the shipped networks that figures depend on."""
    places = {name: shipped_folder(name) for name in SHIPPED}
    return {name: place for name, place in places.items() if place.is_dir()}


def digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder with their names. Raises UserError."""
    total = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    try:
        for file in files:
            total.update(file.name.encode())
            with open(file, "rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    return total.hexdigest()


def source_digest(target: str) -> str:
    """SHA-256 of the file that a plug-in module:attribute comes from; "" where there is none."""
    try:
        file = inspect.getsourcefile(importlib.import_module(target.partition(":")[0]))
        return digest(Path(file)) if file else ""
    except (TypeError, ImportError):
        return ""

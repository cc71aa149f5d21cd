"""Run by test_batch: `batch` on eight virtual CPU devices, `generate` on one; what was compiled."""

import json
import sys
from pathlib import Path

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

from vasa_jax.bundle import init_bundle  # noqa: E402
from vasa_jax.config import get_config  # noqa: E402
from vasa_jax.inference.batch import run_batch  # noqa: E402
from vasa_jax.inference.generate import generate, load_inputs  # noqa: E402
from vasa_jax.inference.manifest import read_manifest  # noqa: E402
from vasa_jax.inference.pipeline import Pipeline  # noqa: E402
from vasa_jax.inference.progress import Reporter  # noqa: E402


def main(folder: Path) -> None:
    manifest, report = folder / "rows.csv", Reporter("quiet")
    bundle = init_bundle(get_config("debug"))
    wide, one = Pipeline(bundle, devices=jax.devices()), Pipeline(bundle)
    compilations: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **more: (
            compilations.append(str(more.get("fun_name", "?")))
            if "backend_compile" in name
            else None
        )
    )
    summary = run_batch(manifest, folder / "eight", wide, report)
    compiled = list(compilations)
    (folder / "one").mkdir()
    for row in read_manifest(manifest, folder / "one"):
        inputs = load_inputs(row.request, one.config.face.image_size, report)
        generate(row.request, inputs, one, report)
    print(
        json.dumps(
            {
                "devices": len(wide.lanes),
                "made": summary.made,
                "programs": wide.programs,
                "compilations": compiled,
            }
        )
    )


main(Path(sys.argv[1]))

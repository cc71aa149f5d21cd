"""Environment of a measurement (device, driver, versions, flags), and memory use."""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import jaxlib

import vasa_jax


def environment() -> dict[str, Any]:
    """Device, versions and flags that affect speed; JSON-ready."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": _cpu_name() if device.platform == "cpu" else device.device_kind,
        "devices": jax.device_count(),
        "host_cores": os.cpu_count(),
        "driver": _driver(device.platform),
        "runtime": " ".join(str(device.client.platform_version).split())[:200],
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "python": platform.python_version(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "matmul_precision": str(
            jax.config.jax_default_matmul_precision  # type: ignore[attr-defined] # set at run time
        ),
    }


def code_version() -> dict[str, str | None]:
    """The package's version, and the commit of the checkout that it lies in ("+" behind it where
    files have changed since); None outside of a checkout."""
    return {"version": vasa_jax.__version__, "commit": _commit(Path(vasa_jax.__file__).parents[1])}


def _commit(folder: Path) -> str | None:
    if not (folder / ".git").exists() or shutil.which("git") is None:
        return None
    ask = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+"]
    ask += ["--exclude=*"]  # no tag's name
    done = subprocess.run(ask, capture_output=True, text=True, timeout=30)
    return done.stdout.strip() or None if done.returncode == 0 else None


def fingerprint(facts: dict[str, Any]) -> str:
    """A short hash of an environment."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:10]


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _driver(kind: str) -> str | None:
    if kind not in ("gpu", "cuda") or shutil.which("nvidia-smi") is None:
        return None
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=30)
    return done.stdout.split("\n")[0].strip() or None if done.returncode == 0 else None


def forget_peak() -> None:
    """Reset the peak of the host's resident memory (Linux; elsewhere no effect)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory() -> dict[str, int]:
    """Peak bytes of the device since process start, and of the host since `forget_peak`."""
    found = {}
    stats = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        found["device_peak_bytes"] = int(stats["peak_bytes_in_use"])
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        found["host_peak_bytes"] = int(line.split()[1]) * 1024
    return found


def program_memory(compiled: Any) -> dict[str, int]:
    """Bytes of a compiled program: arguments, results and temporaries; {} where unknown."""
    analysis = compiled.memory_analysis()
    sizes: dict[str, int] = {}
    for name in ("argument", "output", "temp", "alias"):
        size = getattr(analysis, f"{name}_size_in_bytes", None)
        if size is None:
            return {}
        sizes[name] = int(size)
    total = sizes["argument"] + sizes["output"] + sizes["temp"] - sizes["alias"]
    return {"program_bytes": total, "program_temp_bytes": sizes["temp"]}

"""Tests run on the CPU, in float32 at the highest precision, on eight virtual devices."""

import gc
import os
import signal
import tempfile
from pathlib import Path

import jax
import pytest

# A shell starts background jobs with these ignored, and every process that tests start inherits it.
for _name, _usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if signal.getsignal(getattr(signal, _name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, _name), _usual)

# XLA sizes its thread pool by it, else by the cores: with jax 0.11.2 eight devices that wait for
# each other on two cores wait for ever.
os.environ.setdefault("NPROC", "16")
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_default_matmul_precision", "highest")
# The suite compiles hundreds of tiny programs and runs each a few times: LLVM's optimiser took
# half of its time. What it would do to long runs does not matter here; results are the same.
jax.config.update("jax_disable_most_optimizations", True)

# Workers of one run share what they compile; another run starts anew.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{os.getpid()}"
XLA_CACHE = Path(tempfile.gettempdir()) / f"vasa_jax_tests_{_RUN}"
jax.config.update("jax_compilation_cache_dir", str(XLA_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def pytest_terminal_summary(terminalreporter):
    """What was skipped, and the commands that bring what it lacked."""
    from tests import needs

    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [r.longrepr[2] if isinstance(r.longrepr, tuple) else str(r.longrepr) for r in skipped]
    if reasons:
        terminalreporter.section(f"{len(reasons)} tests were skipped")
        for line in needs.summary(reasons):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def _keep_the_users_cache_clean():
    """The command line would switch to the user's own compile cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vasa_jax.compile_cache.enable_compile_cache", lambda: XLA_CACHE)
        yield


MOST_MEMORY = 3 * 2**30
"""Bytes of a worker after which it lets go of compiled programs; two grew to 8 GB each."""


@pytest.fixture(scope="module", autouse=True)
def _let_go_of_programs():
    """What a file of tests has compiled is of no use to the next."""
    yield
    status = Path("/proc/self/statm")
    if status.exists():
        resident = int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if resident > MOST_MEMORY:
            jax.clear_caches()
            gc.collect()


@pytest.fixture(scope="session")
def debug_bundle():
    """The debug model with parameters from seed 0."""
    from vasa_jax.bundle import init_bundle
    from vasa_jax.config import get_config

    return init_bundle(get_config("debug"))


@pytest.fixture(scope="session")
def debug_pipeline(debug_bundle):
    """The debug model, compiled on first use."""
    from vasa_jax.inference.pipeline import Pipeline

    return Pipeline(debug_bundle)

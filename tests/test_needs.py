"""A run ends with what it skipped and what brings it."""

import os
import subprocess
import sys
from pathlib import Path

from tests import needs

ROOT = Path(__file__).parents[1]


def test_commands_are_joined():
    reasons = [
        "Skipped: needs weights a, b; bring it: vasa-jax weights get a b",
        "needs weights; bring it: vasa-jax weights get b c",
        *2 * ["Skipped: needs OpenGL (EGL); bring it: sudo apt-get install libegl1"],
        "needs the extra `beam`; bring it: pip install -e '.[beam]'",
        "needs the extra `phonemes`; bring it: pip install -e '.[phonemes]'",
        "Skipped: reads /proc",
    ]
    assert needs.summary(reasons) == [
        "    2 skipped: OpenGL (EGL)",
        "    1 skipped: weights a, b",
        "    1 skipped: weights b, c",
        "    1 skipped: the extra `beam`",
        "    1 skipped: the extra `phonemes`",
        "    1 skipped: reads /proc",
        "They run after:",
        "    sudo apt-get install libegl1",
        "    .venv/bin/pip install -e '.[beam,phonemes]'",
        "    .venv/bin/vasa-jax weights get a b c",
    ]
    assert needs.summary([]) == []


def test_a_run_without_weights_and_drivers_says_so(tmp_path):
    """As on a fresh machine: an empty cache, and no library that makes an OpenGL context."""
    environment = os.environ | {
        "VASA_JAX_CACHE": str(tmp_path),
        "__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    (tmp_path / "test_gl.py").write_text(
        "from tests import needs\n\ndef test_gl():\n    needs.require_gl()\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "2",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ROOT,
            "-c",
            ROOT / "pyproject.toml",
            tmp_path / "test_gl.py",
            ROOT / "tests" / "perception" / "test_expression.py",
        ],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = done.stdout[done.stdout.index("tests were skipped") :]
    assert ".venv/bin/vasa-jax weights get face-expression" in words
    assert f"sudo apt-get install {needs.GL_PACKAGES}" in words

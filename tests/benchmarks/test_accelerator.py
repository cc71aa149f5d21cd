"""The script for an accelerator runs existing commands."""

import json
import subprocess
import sys
from pathlib import Path

import accelerator
import pytest

from vasa_jax.cli import build_parser
from vasa_jax.config import get_config

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("quick", [False, True])
def test_every_part_is_a_command(quick):
    parts = list(accelerator.parts("vasa1", quick))
    assert parts[0][0].startswith("decode")
    asked = set()
    for _, words in parts:
        assert words[:2] == ["-m", "vasa_jax.cli"]
        arguments = build_parser().parse_args([*words[2:], "--budget", "5", "-o", "r.json"])
        config = get_config(arguments.config, arguments.overrides)
        assert config.precision == "bf16"
        asked |= set(arguments.what)
    assert asked >= {"decode", "online", "sampler", "end-to-end", "train-face", "train-motion"}


def test_peers_take_their_arguments():
    for words in accelerator.peers("debug", True):
        done = subprocess.run(
            [sys.executable, str(ROOT / words[0]), *words[1:], "--help"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0
        assert "--pairs" in done.stdout


def test_a_part_that_is_too_slow_is_ended(monkeypatch):
    import time

    begun = time.monotonic()
    assert not accelerator.run(["-c", "import time; time.sleep(60)"], begun + 1.5, None)
    assert time.monotonic() - begun < 30
    assert accelerator.run(["-c", "raise SystemExit(3)"], time.monotonic() + 60, None)


def test_names_and_tables(tmp_path):
    assert accelerator.slug("gpu NVIDIA H100 80GB HBM3") == "gpu-nvidia-h100-80gb-hbm3"
    row = {"question": "decode", "settings": {"batch": 1}, "environment": "e", "skipped": "no"}
    facts = {"e": {"device": "Chip", "jax": "1", "driver": None}}
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"format": 1, "environments": facts, "rows": [row]}))
    accelerator.table(path)
    text = path.with_suffix(".md").read_text()
    assert "## Chip" in text
    assert "| batch 1 | no |" in text

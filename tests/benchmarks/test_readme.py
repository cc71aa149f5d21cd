"""The speed tables of benchmarks/README.md are what the committed results say."""

import json
from pathlib import Path

import pytest
import readme

ROOT = Path(__file__).parents[2]


def row(question, rate, **settings):
    return {
        "question": question,
        "environment": "e",
        "unit": "frames",
        "compile_s": 1.0,
        "memory": {},
        "settings": {"config": "demo", "precision": "f32", **settings},
        "seconds": {"median": 1 / rate, "min": 0.9 / rate, "max": 2 / rate},
        "per_second": {"median": rate},
    }


def test_the_readme_shows_the_committed_results():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert readme.placed(text, readme.block()) == text


def test_the_fastest_row_of_each_benchmark_is_shown(tmp_path):
    rows = [row("decode", 5.0, batch=1), row("decode", 8.0, batch=8), row("audio", 3.0)]
    rows.append({"question": "loader", "environment": "e", "settings": {}, "skipped": "no data"})
    facts = {"e": {"device": "Chip", "host_cores": 2, "jax": "1"}}
    data = {"format": 1, "environments": facts, "rows": rows}
    (tmp_path / "cpu-chip-2026-01-01.json").write_text(json.dumps(data))
    text = readme.block(tmp_path)
    assert "| decode | demo, f32, batch 8 | 125 (112 to 250) | 8 frames |" in text
    assert "batch 1 " not in text
    assert "| audio | demo, f32 |" in text
    assert "loader" not in text


def test_ratios_are_shown_with_their_targets(tmp_path):
    spread = {"median": 1.5, "min": 1.25, "max": 2.0}
    data = {
        "question": "speed of ours over torch's: pairs",
        "config": "vasa1",
        "precision": "f32",
        "environment": {"device": "Chip", "torch": "2", "jax": "1"},
        "rows": [
            {
                "what": "sampler",
                "peer": "torch eager",
                "speed_over_torch": spread,
                "ours_s": {"median": 0.5},
                "bar_on_cpu": 1.3,
            }
        ],
    }
    (tmp_path / "cpu-chip-2026-01-01-peers.json").write_text(json.dumps(data))
    line = "| sampler, vasa1 | torch eager | 1.50 x (1.25 to 2.00) | 0.5 s | 1.3 x |"
    assert line in readme.block(tmp_path).splitlines()


def test_a_readme_without_marks_is_left_alone():
    with pytest.raises(SystemExit, match="marks"):
        readme.placed("# title\n", "text")

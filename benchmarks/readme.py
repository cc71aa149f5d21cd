"""Writes the speed tables of benchmarks/README.md from the committed results.

    python benchmarks/readme.py     # replaces the text between the two marks

Of rows that differ in batch alone the fastest is shown; benchmarks/results has all.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from vasa_jax.benchmark.table import cells, settings  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
MARKS = "<!-- speed: benchmarks/readme.py -->", "<!-- end of speed -->"
KINDS = "config", "size", "video", "steps", "branches", "ceiling", "devices"


def best(rows):
    """The fastest of rows that differ in batch alone."""
    found = {}
    for row in rows:
        if "seconds" not in row:
            continue
        kinds = KINDS if row["question"] != "ceilings" else ("ceiling",)
        key = row["question"], *(row["settings"].get(kind) for kind in kinds)
        if key not in found or _rate(row) > _rate(found[key]):
            found[key] = row
    return list(found.values())


def measured(title, data):
    """Lines of the table of a file of `vasa-jax benchmark`, one table for each environment."""
    lines = []
    for name, facts in data["environments"].items():
        rows = best(row for row in data["rows"] if row["environment"] == name)
        if not rows:
            continue
        where = f"{facts['device']}, {facts['host_cores']} cores, jax {facts['jax']}"
        lines += [
            f"`{title}`: {where}.",
            "",
            "| benchmark | settings | ms, median (min to max) | per second |",
            "|---|---|---|---|",
        ]
        for row in rows:
            time, rate = cells(row)[:2]
            heads = (row["settings"].get(key) for key in ("config", "precision"))
            what = ", ".join(filter(None, (*heads, settings(row))))
            lines.append(f"| {row['question']} | {what} | {time} | {rate} |")
        lines.append("")
    return lines


def compared(title, data):
    """Lines of the table of a file of `peers/run.py`."""
    facts = data["environment"]
    lines = [
        f"`{title}`: the same work and weights in {data['precision']}, interleaved pairs on "
        f"{facts['device']}, torch {facts['torch']}, jax {facts['jax']}.",
        "",
        "| work | against | speed over torch's, median (min to max) | ours | target on a CPU |",
        "|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        s = row["speed_over_torch"]
        lines.append(
            f"| {row['what']}, {data['config']} | {row['peer']} | {s['median']:.2f} x "
            f"({s['min']:.2f} to {s['max']:.2f}) | {row['ours_s']['median']:.3g} s | "
            f"{row['bar_on_cpu']} x |"
        )
    return [*lines, ""]


def block(results=RESULTS):
    """All tables, in the order of their files."""
    lines = []
    for file in sorted(results.glob("*.json")):
        data = json.loads(file.read_text())
        if "environments" in data:
            lines += measured(file.name, data)
        elif data.get("question", "").startswith("speed of ours over torch"):
            lines += compared(file.name, data)
    return "\n".join(lines).rstrip()


def placed(readme, text):
    """The page with `text` between the marks."""
    head, mark, rest = readme.partition(MARKS[0])
    _, end, tail = rest.partition(MARKS[1])
    if not mark or not end:
        sys.exit(f"benchmarks/README.md: the marks {MARKS} are not there")
    return f"{head}{mark}\n\n{text}\n\n{end}{tail}"


def _rate(row):
    return row["per_second"]["median"]


def main():
    readme = ROOT / "benchmarks" / "README.md"
    readme.write_text(placed(readme.read_text(), block()))


if __name__ == "__main__":
    main()

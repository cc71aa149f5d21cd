"""Tables of results, for a terminal and in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

HIDDEN = ("config", "set", "precision")
HEADINGS = (
    "ms, median (min to max)",
    "per second",
    "TFLOP/s",
    "of matmul",
    "of copy",
    "of sheet",
    "compile s",
    "peak MiB",
)


def cells(row: dict[str, Any]) -> list[str]:
    """Cells of one row, in the order of `HEADINGS`."""
    if "seconds" not in row:
        return [row.get("failed") or row.get("skipped", ""), *[""] * (len(HEADINGS) - 1)]
    s = row["seconds"]
    share = lambda key: f"{100 * row[key]:.1f} %" if row.get(key) else ""  # noqa: E731
    memory = row["memory"]
    peak = memory.get("program_bytes", memory.get("host_peak_bytes"))
    rate = row["per_second"]["median"]
    return [
        f"{_number(1e3 * s['median'])} ({_number(1e3 * s['min'])} to {_number(1e3 * s['max'])})",
        f"{_number(rate)} {row['unit']}",
        _number(row["tflops_per_second"]) if row.get("tflops_per_second") else "",
        share("share_of_matmul"),
        share("share_of_copy"),
        share("share_of_data_sheet"),
        _number(row["compile_s"]),
        "" if peak is None else f"{peak / 2**20:.0f}",
    ]


def figures(row: dict[str, Any]) -> str:
    """A benchmark's own results in one line."""
    parts = []
    for name, value in row.get("figures", {}).items():
        if isinstance(value, dict):
            inner = ", ".join(f"{k} {_number(v)}" for k, v in value.items())
            parts.append(f"{name.replace('_', ' ')}: {inner}")
        else:
            parts.append(f"{name.replace('_', ' ')} {_number(value)}")
    return "; ".join(parts)


def settings(row: dict[str, Any]) -> str:
    """Settings that distinguish a row from others of its benchmark."""
    return ", ".join(f"{k} {v}" for k, v in row["settings"].items() if k not in HIDDEN)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """One table for each benchmark; rows that could not be measured show the reason."""
    lines: list[str] = []
    for benchmark in dict.fromkeys(row["question"] for row in rows):
        lines += [
            f"### {benchmark}",
            "",
            f"| settings | {' | '.join(HEADINGS)} |",
            f"|{'---|' * (len(HEADINGS) + 1)}",
        ]
        chosen = [row for row in rows if row["question"] == benchmark]
        for row in chosen:
            head = row["settings"]
            name = f"{head.get('config', '')} {head.get('precision', '')} {settings(row)}".strip()
            lines.append(f"| {name} | {' | '.join(cells(row))} |")
        lines.append("")
        for row in chosen:
            if row.get("figures"):
                lines.append(f"- {settings(row)}: {figures(row)}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def report(data: dict[str, Any]) -> str:
    """A file of results as Markdown, with a section for each environment."""
    parts = []
    for name, facts in data["environments"].items():
        rows = [row for row in data["rows"] if row["environment"] == name]
        if rows:
            known = [
                f"jax {facts['jax']}",
                facts.get("driver") and f"driver {facts['driver']}",
                facts.get("xla_flags"),
            ]
            parts.append(
                f"## {', '.join([facts['device'], *filter(None, known)])}\n\n{markdown(rows)}"
            )
    return "\n".join(parts)


def show(rows: Iterable[dict[str, Any]], title: str) -> None:
    """Print a table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    rows = list(rows)
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    table = Table("settings", *HEADINGS, title=title, title_justify="left")
    for row in rows:
        table.add_row(settings(row), *cells(row))
    console.print(table)
    for row in rows:
        if row.get("figures"):
            console.print(f"{settings(row)}: {figures(row)}", markup=False)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:.2e}"

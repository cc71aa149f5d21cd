"""The report of an evaluation as Markdown."""

from collections.abc import Mapping
from typing import Any

from vasa_jax.evaluation.metric_specs import SECTIONS, MetricSpec
from vasa_jax.evaluation.run import Evaluation
from vasa_jax.evaluation.statistics import CONFIDENCE, RESAMPLES, Summary
from vasa_jax.evaluation.targets import Target, interval, number

LEFT_OUT = (
    "SyncNet's confidence and distance (SC, SD): its weights ship in no package. `vasa-jax score "
    "--syncnet FILE` measures them in videos; av_sync here is another network.",
    "VASA-1's own CAPP (section 4.2): it was never published. CAPP, synthetic follows its recipe "
    "but was trained on synthetic heads, so its figures compare only with the truth's.",
)


def markdown(
    found: Evaluation, header: Mapping[str, Any], table: list[Target], sheets: Mapping[str, str]
) -> str:
    """The report as Markdown. sheets: captions by file name."""
    name, weights = header.get("config"), header.get("weights")
    lines = [f"# Evaluation of `{name}` ({weights})", ""]
    lines += [f"- {key}: {value}" for key, value in header.items()]
    lines += [f"- {key}: {value}" for key, value in found.counts.items()]
    lines += ["", "## Aims", "", "| figure | aim | reached | |", "|---|---|---|---|"]
    marks = {True: "yes", False: "no", None: "—"}
    lines += [f"| {a.text} | {a.wanted} | {a.value} | {marks[a.met]} |" for a in table]
    lines += [
        "",
        f"Means; in brackets {CONFIDENCE:.0%} bootstrap intervals over people "
        f"({RESAMPLES} resamples).",
        "",
    ]
    for title, specs in SECTIONS.items():
        # Metrics without a sample, as of phoneme classes that do not occur, get no row.
        measured = [
            (specs[key], s)
            for key, s in ((key, found.summaries.get(key)) for key in specs)
            if s is not None and (s.count or s.missing)
        ]
        rows = [_row(spec, summary) for spec, summary in measured]
        if rows:
            lines += [f"## {title}", "", *_HEAD, *rows, ""]
    lines += _sweep_lines(found) + _fvd_lines(found)
    if sheets:
        lines += ["## Sheets", ""]
        for file, caption in sheets.items():
            lines += [f"{caption}", "", f"![{caption}]({file})", ""]
    lines += ["## Left out", "", *(f"- {text}" for text in LEFT_OUT), ""]
    return "\n".join(lines)


_HEAD = (
    "| figure | unit | perfect | mean | interval | median | measured | missing | people |",
    "|---|---|---|---|---|---|---|---|---|",
)


def _row(spec: MetricSpec, s: Summary) -> str:
    cells = (
        spec.text,
        spec.unit,
        spec.best,
        number(s.mean),
        interval(s).strip(),
        number(s.median),
        str(s.count),
        str(s.missing),
        str(s.groups),
    )
    return f"| {' | '.join(cells)} |"


def _sweep_lines(found: Evaluation) -> list[str]:
    if not found.sweeps:
        return []
    lines = [
        "## Sweeps, mean over the clips",
        "",
        "| condition | unit | command → answer as read | correlation | right steps |",
        "|---|---|---|---|---|",
    ]
    for name, r in found.sweeps.items():
        pairs = zip(r.curve.commands, r.curve.answers, strict=True)
        steps = ", ".join(f"{c:g} → {number(a if a == a else None)}" for c, a in pairs)
        share = "—" if r.monotonic is None else f"{r.monotonic:.0%}"
        lines.append(f"| {name} | {r.curve.unit} | {steps} | {number(r.correlation)} | {share} |")
    return [*lines, ""]


def _fvd_lines(found: Evaluation) -> list[str]:
    if found.fvd is None:
        return []
    values = ", ".join(f"{number(v)} (divisor {k})" for k, v in found.fvd.by_divisor.items())
    return [
        "## Frechet video distance",
        "",
        f"{values}; {found.fvd.ours} runs of ours, {found.fvd.truth} true ones. I3D (Kinetics "
        "400) logits of 25 frames at 224 px. Comparable only with the same data and as many "
        "runs.",
        "",
    ]

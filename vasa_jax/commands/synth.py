"""`vasa-jax synth`: a dataset of synthetic talking heads with exact labels."""

import argparse
from pathlib import Path

from vasa_jax.commands import options

HELP = "make a corpus of synthetic talking heads with exact labels, as a TFDS dataset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for clips and dataset; run again to go on, or to add more",
    )
    parser.add_argument(
        "--identities", type=int, default=20, metavar="N", help="people (default: 20)"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=2.0,
        metavar="M",
        help="minutes of all clips together (default: 2)",
    )
    parser.add_argument(
        "--size", type=int, default=256, metavar="PX", help="side of the pictures (default: 256)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="same seed, same corpus (default: 0)"
    )
    parser.add_argument(
        "--seconds", type=float, default=6.0, metavar="X", help="longest clip (default: 6)"
    )
    parser.add_argument(
        "--swaps",
        type=int,
        default=0,
        metavar="G",
        help="groups of exact swaps: 2 people x 2 poses x 9 expressions (default: 0)",
    )
    parser.add_argument(
        "--assets",
        type=Path,
        metavar="DIR",
        help="MakeHuman's CC0 skins, eyes, brows, lashes and hair (default: painted textures)",
    )
    parser.add_argument(
        "--speech",
        type=Path,
        metavar="DIR",
        help="recordings to speak instead of Kokoro's sentences; such clips have no phoneme labels",
    )
    parser.add_argument(
        "--val-share",
        type=float,
        default=0.1,
        metavar="X",
        help="part of the people kept for validation (default: 0.1)",
    )
    parser.add_argument(
        "--test-share",
        type=float,
        default=0.1,
        metavar="X",
        help="part of the people kept for the test (default: 0.1)",
    )
    parser.add_argument(
        "--share-voices",
        action="store_true",
        help="let people of all splits "
        "speak with all voices (default: val and test have their own)",
    )
    parser.add_argument(
        "--any-faces",
        action="store_true",
        help="take people who may look alike (default: dlib's network must tell neighbours apart)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="W",
        help="processes (default: all cores; 0 draws in this one)",
    )
    options.add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    import os
    import time

    from vasa_jax.data_pipeline.synthetic.corpus import synthesise
    from vasa_jax.data_pipeline.synthetic.identity_selection import summary_lines
    from vasa_jax.data_pipeline.synthetic.plan import Plan, find_speech
    from vasa_jax.data_pipeline.synthetic.recognise import available
    from vasa_jax.errors import UserError, require_extra
    from vasa_jax.inference.progress import Reporter

    require_extra("data")
    workers = os.cpu_count() or 1 if arguments.workers is None else arguments.workers
    if workers < 0:
        raise UserError(f"--workers {workers} must be 0 or more")
    if arguments.assets is not None and not arguments.assets.is_dir():
        raise UserError(f"--assets {arguments.assets}: no such folder")
    speech = None if arguments.speech is None else find_speech(arguments.speech)
    plan = Plan(
        seed=arguments.seed,
        identities=arguments.identities,
        minutes=arguments.minutes,
        size=arguments.size,
        seconds=arguments.seconds,
        assets=arguments.assets,
        speech=() if speech is None else tuple(speech.files),
        recognise=speech is not None and available(),
        swaps=arguments.swaps,
        val_share=arguments.val_share,
        test_share=arguments.test_share,
        held_out_voices=not arguments.share_voices,
        any_faces=arguments.any_faces,
    )
    report = Reporter(options.report_mode(arguments))
    if speech is not None and speech.left_out:
        report.note(speech.note("recordings"))
    if plan.speech and not plan.recognise:
        report.note(
            "lips do not close at p, b, m where mouths follow the sound of recordings "
            "alone; install the recogniser: pip install 'vasa-jax[phonemes]'"
        )
    start = time.perf_counter()
    corpus = synthesise(plan, arguments.output, report, workers)
    if corpus.cast is not None:
        for line in summary_lines(corpus.cast):
            report.note(line)
    drawing = report.seconds.get("draw", time.perf_counter() - start)
    rate = corpus.frames / max(drawing, 1e-9) / max(1, workers)
    speed = f", {rate:.1f} pictures/s per process" if corpus.frames else ""
    report.finish(
        f"{corpus.dataset}: {corpus.made} clips made, {corpus.skipped} already there{speed}",
        made=corpus.made,
        skipped=corpus.skipped,
        frames=corpus.frames,
        per_process=round(rate, 2),
        cast=corpus.cast,
    )
    return 0

"""Videos in, dataset out: good ones, every kind of bad one, and a run that is cut off."""

import json
import os
import signal
import time

import cv2
import numpy as np
import pytest

from tests import needs
from tests.data_pipeline.prepare.helpers import PLAIN, plain, turn, wobble, write_video
from vasa_jax.cli import main
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.clip import read_clip
from vasa_jax.data_pipeline.datasets.read import open_dataset
from vasa_jax.data_pipeline.loading.image_codec import decode_grey
from vasa_jax.data_pipeline.loading.loaders import FaceLoader
from vasa_jax.data_pipeline.loading.pairs import PLAIN as AS_IT_IS
from vasa_jax.data_pipeline.prepare import clip_job
from vasa_jax.data_pipeline.prepare.clip_job import prepare_source
from vasa_jax.data_pipeline.prepare.labels import Labellers
from vasa_jax.data_pipeline.prepare.options import PrepareOptions
from vasa_jax.data_pipeline.prepare.pool import WorkerDied, run_jobs
from vasa_jax.data_pipeline.prepare.probe import comb_share, one_field, probe_stream
from vasa_jax.data_pipeline.prepare.run import prepare_folder
from vasa_jax.data_pipeline.prepare.sources import Source
from vasa_jax.errors import UserError
from vasa_jax.inference.progress import Reporter

OPTIONS = PrepareOptions(size=128, min_seconds=0.8, max_seconds=4.0, min_quality=-50)


def _interlaced(frames):
    """Two moments in every frame, line by line."""
    woven = frames[:-1].copy()
    woven[:, 1::2] = frames[1:, 1::2]
    return woven


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, face_picture, two_people):
    """One folder a person, one video of each kind."""
    root = tmp_path_factory.mktemp("videos")
    face = wobble(face_picture)
    fast = wobble(face_picture, 26)
    fast = np.stack([np.roll(f, 9 * (k % 2), 1) for k, f in enumerate(fast)])
    empty = np.full_like(face[:30], 90)
    write_video(root / "good/a.mp4", face)
    write_video(root / "silent/a.mp4", face[:25], sound=False)
    write_video(root / "quiet/a.mp4", face[:25], level=0.0)
    write_video(root / "nobody/a.mp4", empty)
    write_video(root / "pair/a.mp4", wobble(two_people, 25))
    times = np.cumsum([0] + [(20, 60, 33)[k % 3] for k in range(29)])
    write_video(root / "variable/a.mkv", face[:30], pts=times)
    write_video(root / "turned/a.mp4", np.ascontiguousarray(np.rot90(face[:25], 1, (1, 2))))
    turn(root / "turned/a.mp4")
    write_video(root / "deep/a.mp4", face[:25], form="yuv420p10le")
    write_video(root / "woven/a.mp4", _interlaced(fast), options={"x264-params": "tff=1"})
    write_video(root / "short/a.mp4", face[:12])
    write_video(root / "tiny/a.mp4", wobble(cv2.resize(face_picture, (64, 64)), 25))
    (root / "none").mkdir()
    (root / "none/a.mp4").touch()
    (root / "text").mkdir()
    (root / "text/a.mp4").write_text("no video at all")
    whole = write_video(root / "cut/a.mkv", wobble(face_picture, 60)).read_bytes()
    (root / "cut/a.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    headless = (root / "good/a.mp4").read_bytes()
    (root / "headless").mkdir()
    (root / "headless/a.mp4").write_bytes(headless[: len(headless) // 2])
    blurred = np.stack([cv2.GaussianBlur(f, (0, 0), 4) for f in face[:25]])
    write_video(root / "blurred/a.mp4", blurred)
    scenes = [face[:25], wobble(255 - face_picture, 22)[:, ::-1], face[:25]]
    write_video(root / "scenes/a.mp4", np.concatenate(scenes))
    return root


@pytest.fixture(scope="module")
def prepared(corpus, tmp_path_factory, request):
    out = tmp_path_factory.mktemp("dataset")
    options = OPTIONS._replace(min_quality=30.0)
    result = prepare_folder(
        corpus,
        out,
        options,
        Reporter("quiet"),
        labellers=plain(),
        workers=0,
        val_share=0.3,
        test_share=0.2,
    )
    return out, {r.identity: r for r in result.reports}, result


DISCARDED = {
    "silent": "no audio",
    "quiet": "silent",
    "nobody": "no face",
    "pair": "several people",
    "short": "too short",
    "tiny": "face too small",
    "none": "unreadable",
    "text": "unreadable",
    "headless": "unreadable",
    "blurred": "poor picture",
}
NOTED = {
    "variable": "variable frame rate",
    "turned": "turned by",
    "deep": "more than 8 bits",
    "woven": "interlaced",
    "cut": "truncated",
}


@pytest.mark.parametrize("name", DISCARDED)
def test_a_bad_video_ends_with_its_reason(prepared, name):
    report = prepared[1][name]
    assert not report.clips
    assert DISCARDED[name] in {d.reason for d in report.discards}
    assert report.message


@pytest.mark.parametrize("name", NOTED)
def test_an_odd_video_is_mended_and_noted(prepared, name):
    report = prepared[1][name]
    assert len(report.clips) == 1, report
    assert any(NOTED[name] in note for note in report.notes), report.notes


def test_every_frame_is_accounted_for(prepared):
    for name, report in prepared[1].items():
        spans = [(c.start, c.stop) for c in report.clips]
        spans += [(d.start, d.stop) for d in report.discards if d.stop]
        spans.sort()
        covered = [k for a, b in spans for k in range(a, b)]
        assert covered == list(range(report.frames)), name


def test_a_clip_holds_what_the_video_showed(prepared, face_picture):
    out, reports, _ = prepared
    kept = reports["good"].clips[0]
    clip = read_clip(out / "clips" / kept.file)
    assert (clip.clip_id, clip.identity, clip.size) == ("good/a-000000", "good", 128)
    assert len(clip.frames) == 45
    assert clip.quality > 30
    left, top, side = kept.facts["box"]
    picture = cv2.imdecode(np.frombuffer(clip.frames[0], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    wanted = wobble(face_picture, 1)[0][top : top + side, left : left + side]
    wanted = cv2.resize(wanted, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.astype(int) - wanted).mean() < 5
    # The face fills about as much as it shall, and the points lie on it.
    mesh = clip.landmarks.astype(float) / 8192
    extent = np.ptp(mesh[0], 0)
    assert 0.38 < extent.mean() < 0.7
    np.testing.assert_allclose(clip.points[:, 2], mesh[:, 1], atol=1e-3)


def test_masks_lie_in_the_clips_the_dataset_and_the_batches(prepared):
    """As those of synthetic clips do, so that the losses of the foreground have one."""
    out, reports, _ = prepared
    clip = read_clip(out / "clips" / reports["good"].clips[0].file)
    y, x = np.mgrid[:128, :128]
    disc = np.hypot(x - 64, y - 64) < 0.4 * 128
    for mask in clip.masks:
        np.testing.assert_array_equal(decode_grey(mask, 128)[..., 0], 255 * disc)
    index = open_dataset(out).splits["train"]
    assert index.has["masks"] == len(index.ids)
    batch = next(FaceLoader(out, get_config("debug"), 2, workers=0, augment=AS_IT_IS))
    assert batch.source.mask.shape == (2, 64, 64, 1)
    small = disc.reshape(64, 2, 64, 2).mean((1, 3))
    np.testing.assert_allclose(batch.driver.mask[0, ..., 0], small, atol=1 / 254)


def test_a_mask_that_misses_the_face_costs_the_clip(corpus, tmp_path):
    labellers = Labellers(plain().names | {"mask": f"{PLAIN}:Corner"})
    source = Source(corpus / "good/a.mp4", "good/a", "good")
    report = prepare_source(source, tmp_path, OPTIONS, labellers)
    assert not report.clips
    assert [d.reason for d in report.discards] == ["face outside of its mask"]


def test_shots_are_clips_of_their_own(prepared):
    report = prepared[1]["scenes"]
    assert report.lines["shots"].startswith("3 in 72")
    assert [(c.start, c.stop) for c in report.clips][:1] == [(0, 25)]
    assert (47, 72) in [(c.start, c.stop) for c in report.clips]


def test_the_dataset_is_split_by_people(prepared):
    out, _, result = prepared
    data = open_dataset(out)
    assert data.name == "video_folder"
    people = {s: {name for row in i.identity for name in row} for s, i in data.splits.items()}
    assert sum(map(len, people.values())) == len(set().union(*people.values()))
    assert set().union(*people.values()) == set(result.splits)
    clip = data.records("train")[0]
    assert clip.size == 128
    assert len(clip.audio) == 640 * len(clip.frames)


def test_the_report_and_the_card_say_why(prepared):
    out, reports, result = prepared
    rows = [json.loads(line) for line in (out / "report.jsonl").read_text().splitlines()]
    assert len(rows) == len(reports)
    summary = json.loads((out / "report.json").read_text())
    assert sum(summary["clips"].values()) == result.clips()
    assert summary["videos"] == {"made": 13, "skipped": 0, "failed": 4}
    card = (out / "README.md").read_text()
    for reason in DISCARDED.values():
        assert reason in card
    assert "No clip holds a share of 0.1 of contempt." in card
    for plot in ("pose", "gaze", "clips", "emotion", "discards"):
        assert f"plots/{plot}.png" in card
        assert cv2.imread(str(out / "plots" / f"{plot}.png")) is not None


def test_finished_videos_are_skipped_and_changed_ones_made_anew(
    prepared, corpus, plain_labellers, monkeypatch, tmp_path
):
    out = prepared[0]
    options = OPTIONS._replace(min_quality=30.0)
    video = tmp_path / "a.mp4"
    video.write_bytes((corpus / "good/a.mp4").read_bytes())
    source = Source(video, "copy/a", "copy")
    first = prepare_source(source, out, options, plain_labellers)
    assert first.outcome == "made"
    stored = (out / "clips/copy/a-000000.npz").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(clip_job, "probe_stream", lambda path: pytest.fail("was read again"))
        again = prepare_source(source, out, options, plain_labellers)
    assert again == first._replace(outcome="skipped")
    (out / "clips/copy/a-000000.npz").unlink()
    assert prepare_source(source, out, options, plain_labellers).outcome == "made"
    assert (out / "clips/copy/a-000000.npz").read_bytes() == stored
    other = prepare_source(source, out, options._replace(min_quality=99.0), plain_labellers)
    assert other.outcome == "made"
    assert not other.clips
    assert not (out / "clips/copy/a-000000.npz").exists()


def test_a_progressive_picture_is_not_combed(face_picture):
    frames = wobble(face_picture, 8)
    still = comb_share(frames[0])
    moved = np.stack([np.roll(f, 9 * (k % 2), 1) for k, f in enumerate(frames)])
    woven = comb_share(_interlaced(moved)[0])
    assert still < 0.012 < woven
    field = one_field(_interlaced(moved)[0])
    assert comb_share(field) < 0.012
    np.testing.assert_array_equal(field[::2][2:-2], moved[0][::2][2:-2])


def test_facts_of_a_plain_video(corpus):
    facts = probe_stream(corpus / "good/a.mp4")
    assert facts.notes == ()
    assert facts.size == (256, 256)


def _double(job, offset):
    if job == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "raise":
        raise UserError("as planned")
    return 2 * job + offset


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_costs_its_job_alone(workers):
    jobs = [1, "kill", 3, "raise", 5, "kill", 7]
    found = {o.number: o for o in run_jobs(_double, jobs, workers, (10,))}
    assert sorted(found) == list(range(7))
    assert [found[k].value for k in (0, 2, 4, 6)] == [12, 16, 20, 24]
    assert isinstance(found[1].error, WorkerDied)
    assert "SIGKILL" in str(found[5].error)
    assert isinstance(found[3].error, UserError)


def _sleep(job):
    time.sleep(job)


def test_workers_end_with_the_caller():
    outcomes = run_jobs(_sleep, [0, 600, 600], 2)
    next(outcomes)
    start = time.time()
    outcomes.close()
    assert time.time() - start < 20


@needs.weights("face-expression", "selfie-segmentation")
def test_the_command_ends_with_one_line_where_nothing_is_left(tmp_path, corpus, capsys):
    code = main(["prepare", str(corpus / "none"), "-o", str(tmp_path / "o"), "--workers", "0"])
    assert code == 2
    assert "no clip was left of 1 videos" in capsys.readouterr().err
    assert "unreadable" in (tmp_path / "o/README.md").read_text()


@needs.weights("face-expression", "selfie-segmentation")
def test_the_command_says_which_files_it_left_out(tmp_path, face_picture, capsys):
    for name in ("a.mp4", "notes.txt", "b.mp4.part"):
        (tmp_path / "videos").mkdir(exist_ok=True)
        (tmp_path / "videos" / name).touch()
    out = tmp_path / "o"
    assert main(["prepare", str(tmp_path / "videos"), "-o", str(out), "--workers", "0"]) == 2
    said = capsys.readouterr().err
    assert ".part (1)" in said
    assert ".txt (1)" in said
    left = json.loads((out / "report.json").read_text())["files left out"]
    assert left == {".part": 1, ".txt": 1}
    assert "Other files in the folder: " in (out / "README.md").read_text()


def test_a_quiet_run_still_says_what_failed(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/bad.mp4").write_text("no video at all")
    prepare_folder(
        tmp_path / "videos",
        tmp_path / "out",
        OPTIONS,
        Reporter("quiet"),
        labellers=plain(),
        workers=0,
    )
    shown = capsys.readouterr()
    assert "bad" in shown.err
    assert "unreadable" in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--size", "200"], "--size"),
        (["--workers", "-1"], "--workers"),
        (["--val-share", "1"], "--val-share"),
        (["--labeller", "gaze"], "--labeller"),
    ],
)
def test_wrong_flags_are_named(tmp_path, corpus, capsys, flags, said):
    assert main(["prepare", str(corpus), "-o", str(tmp_path / "o"), *flags]) == 2
    assert said in capsys.readouterr().err


def test_beam_does_the_same(corpus, prepared, tmp_path):
    """The same clips to the byte by Apache Beam's DirectRunner, and TFDS shards by it too."""
    needs.require_module("apache_beam", "beam")
    from vasa_jax.data_pipeline.prepare.beam import beam_jobs, beam_runner

    videos = tmp_path / "videos"
    for name in ("good", "none", "deep"):
        (videos / name).mkdir(parents=True)
        file = next((corpus / name).iterdir())
        (videos / name / file.name).write_bytes(file.read_bytes())
    result = prepare_folder(
        videos,
        tmp_path / "out",
        OPTIONS._replace(min_quality=30.0),
        Reporter("quiet"),
        labellers=plain(),
        run=beam_jobs(""),
        beam_runner=beam_runner(""),
    )
    assert {r.identity: len(r.clips) for r in result.reports} == {"deep": 1, "good": 1, "none": 0}
    assert sum(len(i.ids) for i in open_dataset(tmp_path / "out").splits.values()) == 2
    name = "clips/good/a-000000.npz"
    mine, theirs = read_clip(tmp_path / "out" / name), read_clip(prepared[0] / name)
    assert mine.frames == theirs.frames
    np.testing.assert_array_equal(mine.landmarks, theirs.landmarks)
    assert [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")] == []


def test_without_beam_the_extra_is_named(monkeypatch):
    import sys

    from vasa_jax.data_pipeline.prepare.beam import beam_jobs

    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"vasa-jax\[beam\]"):
        beam_jobs("")

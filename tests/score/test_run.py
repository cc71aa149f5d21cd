"""The run: each video is decoded once, what is known is not read again, a broken one is said."""

from pathlib import Path

import pytest

from tests.score.helpers import TOOLS, make_track
from vasa_jax.errors import UserError
from vasa_jax.inference.progress import Reporter
from vasa_jax.score import run as run_module
from vasa_jax.score.cache import Cache
from vasa_jax.score.metrics import METRICS
from vasa_jax.score.pairing import group_videos
from vasa_jax.score.reading import ReadOptions
from vasa_jax.score.run import Run, score_groups


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Files whose content is the seed of a track; `reads` lists those that were decoded."""
    reads = []

    def read_track(path, labellers, options, advance, copy):
        reads.append(f"{path.parent.name}/{path.stem}")
        if path.read_text() == "broken":
            raise UserError(f"{path.name} cannot be decoded")
        return make_track(40, seed=int(path.read_text()))

    monkeypatch.setattr(run_module, "read_track", read_track)
    for name, content in {
        "real/a.mp4": "1",
        "real/b.mp4": "2",
        "ours/a.mp4": "3",
        "ours/b-0.mp4": "4",
        "ours/b-1.mp4": "5",
        "rival/a.mp4": "6",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return tmp_path, reads


def go(folder: Path, names=("ours", "rival")):
    groups = group_videos({name: folder / name for name in names}, folder / "real")
    work = Run(METRICS, TOOLS, None, ReadOptions(), Cache({}, folder / "cache"))
    return score_groups(groups, work, Reporter("quiet"))


def figures(results):
    return {(r.video.system, r.video.name): r.entry and r.entry.values for r in results}


def test_each_video_is_decoded_once_and_a_second_run_decodes_nothing(world):
    folder, reads = world
    first = go(folder)
    assert sorted(reads) == ["ours/a", "ours/b-0", "ours/b-1", "real/a", "real/b", "rival/a"]
    assert reads.index("real/a") < reads.index("ours/a")
    reads.clear()
    assert figures(go(folder)) == figures(first)
    assert reads == []
    assert "psnr" in figures(first)["ours", "b-1"]
    assert "psnr" not in figures(first)["real", "a"]


def test_an_interrupted_run_goes_on(world, monkeypatch):
    folder, reads = world
    whole = figures(go(folder))
    for file in (folder / "cache").iterdir():
        file.unlink()
    reads.clear()
    measure, calls = run_module.measure, []

    def interrupted(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(*given)

    monkeypatch.setattr(run_module, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(folder)
    monkeypatch.setattr(run_module, "measure", measure)
    done, _ = list(reads), reads.clear()
    assert figures(go(folder)) == whole
    assert not {*done[:3]} & {*reads} - {"real/a", "real/b"}  # a real one is read for a pair


def test_a_changed_video_is_read_again_with_its_counterpart(world):
    folder, reads = world
    before = figures(go(folder))
    (folder / "ours" / "a.mp4").write_text("7")
    reads.clear()
    after = figures(go(folder))
    assert reads == ["real/a", "ours/a"]
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {("ours", "a")}


def test_a_broken_video_is_said_and_the_rest_is_measured(world, capsys):
    folder, _ = world
    (folder / "ours" / "a.mp4").write_text("broken")
    (folder / "real" / "b.mp4").write_text("broken")
    results = {(r.video.system, r.video.name): r for r in go(folder)}
    assert results["ours", "a"].error == "a.mp4 cannot be decoded"
    assert results["ours", "a"].entry is None
    assert results["rival", "a"].entry.values["psnr"] > 0
    alone = results["ours", "b-0"].entry
    assert alone.reasons["psnr"] == "there is no real video to compare with"
    assert capsys.readouterr().err.count("not measured") == 2
    (folder / "real" / "b.mp4").write_text("2")  # mended: its pairs are measured now
    assert "psnr" in figures(go(folder))["ours", "b-0"]

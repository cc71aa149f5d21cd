"""A test set drawn by a seed: which clips, and that `batch` and `score` take it."""

import numpy as np
import pytest

from tests.assets import write_wav
from vasa_jax import cli
from vasa_jax.errors import UserError
from vasa_jax.inference.manifest import read_manifest
from vasa_jax.media.video import VideoWriter, probe
from vasa_jax.score.pairing import group_videos, read_people
from vasa_jax.score.protocol import Draw, draw


@pytest.fixture
def names(tmp_path):
    """Five people of 12, 12, 12, 12 and 3 clips, in VoxCeleb2's layout; empty files."""
    for person, count in ((1, 12), (2, 12), (3, 12), (4, 12), (5, 3)):
        for n in range(count):
            path = tmp_path / "vox" / f"id{person:05d}" / "video" / f"{n:05d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path / "vox"


def test_the_draw_depends_on_names_and_seed(names):
    how = Draw(people=3, clips=10)
    drawn = draw(names, how)
    assert drawn == draw(names, how)
    assert [len(clips) for clips in drawn.values()] == [10, 10, 10]
    assert "id00005" not in drawn  # too few clips, and there are enough others
    assert draw(names, Draw(people=5, clips=10))["id00005"].__len__() == 3
    assert len({str(draw(names, how._replace(seed=seed))) for seed in range(5)}) > 1
    with pytest.raises(UserError, match="5 people, 46 are wanted"):
        draw(names, Draw())


def test_protocol_feeds_batch_and_score(tmp_path):
    sound = write_wav(tmp_path / "s.wav", 0.1 * np.random.default_rng(0).normal(size=32_000))
    for name, seconds in (("anna/a", 2), ("anna/b", 1), ("ben/c", 2)):
        path = tmp_path / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = np.full((25 * seconds, 32, 48, 3), 100, np.uint8)
        with VideoWriter(path, 48, 32, audio_from=sound, seconds=float(seconds)) as video:
            video.write(frames)
    out = tmp_path / "set"
    words = ["protocol", str(tmp_path / "videos"), "-o", str(out), "--people=2", "--samples=2"]
    assert cli.main([*words, "--seconds=1.6", "--quiet"]) == 0
    assert sorted(p.name for p in (out / "real").iterdir()) == ["anna--a.mp4", "ben--c.mp4"]
    info = probe(out / "real" / "anna--a.mp4")
    assert (info.width, info.height, info.frames, info.has_audio) == (48, 32, 40, True)
    rows = read_manifest(out / "manifest.csv", tmp_path / "made")
    assert [row.error for row in rows] == [None] * 4
    made = [row.request.output for row in rows]
    assert [(p.stem, row.request.seed) for p, row in zip(made, rows, strict=True)] == [
        ("anna--a-0", 0),
        ("anna--a-1", 1),
        ("ben--c-0", 0),
        ("ben--c-1", 1),
    ]
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    people = read_people(out / "people.csv")
    groups = group_videos({"made": tmp_path / "made"}, out / "real", people)
    assert [(g.real.person, len(g.videos)) for g in groups] == [("anna", 2), ("ben", 2)]
    assert cli.main([*words, "--quiet"]) == 2  # never into a folder that is there
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "s.wav", "set", "videos"]

"""Plans, restarts and determinism, with a quick drawing in place of the renderer; and the command
itself where EGL, head model and voice are here."""

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from tests import needs
from tests.data_pipeline.synthetic.helpers import KOKORO, chatter
from vasa_jax.cli import main
from vasa_jax.data_pipeline.clip import read_clip
from vasa_jax.data_pipeline.loading.correspondence import decode_places
from vasa_jax.data_pipeline.loading.image_codec import decode_grey
from vasa_jax.data_pipeline.main_gaze import main_gaze
from vasa_jax.data_pipeline.phonemes import INDEX
from vasa_jax.data_pipeline.swaps import read_group
from vasa_jax.data_pipeline.synthetic import clipmaker, corpus, swapping
from vasa_jax.data_pipeline.synthetic.corpus import place_of, synthesise
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.head import Rendered
from vasa_jax.data_pipeline.synthetic.identity import looks_of
from vasa_jax.data_pipeline.synthetic.identity_distance import Portrait
from vasa_jax.data_pipeline.synthetic.plan import (
    Plan,
    check_plan,
    clip_jobs,
    name_of,
    person_seed,
    swap_jobs,
)
from vasa_jax.data_pipeline.synthetic.swapping import turn_gaze
from vasa_jax.data_pipeline.synthetic.utterance import HELD_OUT
from vasa_jax.errors import UserError
from vasa_jax.inference.progress import Reporter

PLAN = Plan(seed=3, identities=4, minutes=4 * 2 / 60, size=64, seconds=1.0, swaps=2)


class Person:
    sex = 0.0

    def __init__(self, seed):
        self.seed = seed


class Drawing:
    """A disc whose place is the pose and whose brightness is the person."""

    def __init__(self, size):
        self.size, self.person = size, None

    def load(self, person):
        self.person = person

    def render(self, arkit, rotation, offset, gaze):
        x, y = np.meshgrid(*[np.linspace(-1, 1, self.size)] * 2)
        mask = ((x - rotation[1]) ** 2 + (y - rotation[0]) ** 2 < 0.4).astype(np.uint8) * 255
        image = np.stack([mask // (2 + self.person.seed % 3)] * 3, -1)
        zeros = np.zeros(3, np.float32)
        return Rendered(
            image,
            mask,
            rotation,
            zeros,
            zeros[:1],
            np.zeros((5, 2), np.float32),
            np.zeros((7, 2), np.float32),
            gaze,
        )

    def render_at(self, arkit, rotation, translation, log_scale, gaze, places=False):
        drawn = self.render(arkit, rotation, None, gaze)
        if places:
            there = drawn.mask[..., None] / np.float32(255)
            flat = np.broadcast_to([*rotation[:2], 0.5], (*drawn.mask.shape, 3)) * there
            drawn = drawn._replace(places=np.concatenate([flat, there], -1))
        return drawn._replace(translation=translation, log_scale=log_scale)


def draw_track(engine, identity, track):
    engine.load(identity)
    drawn = [engine.render(*row) for row in zip(*track[:4], strict=True)]
    count = len(drawn)
    labels = {
        "rotation": track.rotation,
        "translation": np.zeros((count, 3), np.float32),
        "log_scale": np.zeros((count, 1), np.float32),
        "gaze": track.gaze,
        "points": np.zeros((count, 5, 2), np.float32),
        "landmarks": np.zeros((count, 7, 2), np.int16),
        "arkit": track.arkit,
        "phonemes": track.phonemes,
        "main_gaze": main_gaze(track.gaze),
        "distance": np.float32(1.0),
        "emotion": track.emotion,
        "masks": np.stack([d.mask for d in drawn]),
    }
    return np.stack([d.image for d in drawn]), labels


@pytest.fixture
def quick(monkeypatch):
    """Neither EGL nor a speech model."""
    monkeypatch.setattr(clipmaker, "renderer", lambda size, assets: Drawing(size))
    monkeypatch.setattr(swapping, "renderer", lambda size, assets: Drawing(size))
    for module in (clipmaker, swapping):
        monkeypatch.setattr(module, "person_of", lambda plan, n: Person(person_seed(plan, n)))
    monkeypatch.setattr(clipmaker, "render_track", draw_track)
    monkeypatch.setattr(clipmaker, "speaker", lambda: None)
    monkeypatch.setattr(clipmaker, "utter", lambda _, seed, voice, frames: spoken(seed, frames))
    monkeypatch.setattr(corpus.identity_distance, "portrait", sketch)
    monkeypatch.setattr(
        corpus.identity_distance, "embedder", lambda: lambda seen: seen.points.ravel()
    )
    monkeypatch.setattr(corpus.zoo, "ensure", lambda name, progress=None: Path(name))


def sketch(seed, assets):
    points = np.random.default_rng(seed).uniform(0, 1, (5, 2)).astype(np.float32)
    return Portrait(np.zeros((1, 1, 3), np.uint8), points)


def spoken(seed, frames):
    clip = chatter(frames / 25 + 1, seed=sum(seed))
    return clip._replace(waveform=clip.waveform[: frames * 640])


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.npz")}


def test_a_plan_counts_its_clips():
    plan = Plan(seed=0, identities=20, minutes=10)
    check_plan(plan)
    assert plan.frames == 150
    assert plan.clips_each == 5
    assert len(clip_jobs(plan)) == 100
    assert Plan(seed=0, identities=20, minutes=1).frames == 75
    assert Plan(seed=0, identities=20, minutes=1).clips_each == 1
    assert len({person_seed(plan, n) for n in range(1000)}) == 1000


def test_splits_share_no_person_and_growth_moves_nobody():
    small, large = (clip_jobs(Plan(seed=1, identities=n, minutes=n / 10)) for n in (60, 120))
    of = {job.person: job.split for job in large}
    assert all(of[job.person] == job.split for job in small)
    assert set(of.values()) == {"train", "val", "test"}
    for job in swap_jobs(Plan(seed=1, identities=60, minutes=6, swaps=20)):
        assert {of[person] for person in job.people} == {job.split}
        assert job.people[0] != job.people[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"identities": 0}, "--identities 0"),
        ({"size": 100}, "multiple of 16"),
        ({"minutes": 0.01}, "more minutes"),
        ({"seconds": 0.2}, "--seconds"),
        ({"identities": 1, "swaps": 1}, "2 identities"),
        ({"val_share": 1.0}, "--val-share"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_bad_plans_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        check_plan(PLAN._replace(**changes))


def test_a_corpus_repeats_restarts_and_grows(quick, tmp_path):
    quiet = Reporter("quiet")
    first = synthesise(PLAN, tmp_path / "a", quiet, 0)
    assert (first.made, first.skipped, first.frames) == (8, 0, 8 * 25 + 2 * 36)
    assert first.dataset.is_dir()
    assert first.swaps.is_dir()
    made = contents(tmp_path / "a")
    assert len(made) == 10
    synthesise(PLAN, tmp_path / "b", quiet, 0)
    assert contents(tmp_path / "b") == made
    # Half of the files gone, as after Ctrl-C: the rest is drawn again, to the same bytes.
    for path in sorted((tmp_path / "b").rglob("*.npz"))[::2]:
        path.unlink()
    shutil.rmtree(tmp_path / "b" / "synthetic_heads")
    again = synthesise(PLAN, tmp_path / "b", quiet, 0)
    assert again.made + again.skipped == 8
    assert 0 < again.made < 8
    assert contents(tmp_path / "b") == made
    more = synthesise(PLAN._replace(identities=6, minutes=12 / 60), tmp_path / "b", quiet, 0)
    assert (more.made, more.skipped) == (4, 8)
    with pytest.raises(UserError, match="another plan"):
        synthesise(PLAN._replace(seed=4), tmp_path / "b", quiet, 0)


def test_everyone_is_drawn_as_cast(quick, tmp_path, monkeypatch):
    drawn = set()

    def person_of(plan, number):
        drawn.add((number, person_seed(plan, number)))
        return Person(person_seed(plan, number))

    for module in (clipmaker, swapping):
        monkeypatch.setattr(module, "person_of", person_of)
    made = synthesise(PLAN, tmp_path, Reporter("quiet"), 0)
    people = json.loads((tmp_path / "cast.json").read_text())["people"]
    assert drawn == {(number, row["seed"]) for number, row in enumerate(people)}
    assert made.cast["people"] == 4
    assert made.cast["pairs"]["median"] > 0.6
    card = json.loads((made.dataset / "dataset_info.json").read_text())["description"]
    assert "all pairs: 5 % " in card


def test_without_the_network_faces_may_be_alike(quick, tmp_path, monkeypatch):
    def ensure(name, progress=None):
        if name.startswith("dlib"):
            raise UserError("no way to npm")
        return Path(name)

    monkeypatch.setattr(corpus.zoo, "ensure", ensure)
    with pytest.raises(UserError, match=r"told apart \(no way to npm\).*--any-faces") as error:
        synthesise(PLAN, tmp_path, Reporter("quiet"), 0)
    assert len(str(error.value).splitlines()) == 1
    made = synthesise(PLAN._replace(any_faces=True), tmp_path, Reporter("quiet"), 0)
    assert made.cast is None
    assert not (tmp_path / "cast.json").exists()
    with pytest.raises(UserError, match="any_faces differ"):
        synthesise(PLAN, tmp_path, Reporter("quiet"), 0)


def test_the_labels_of_a_clip(quick, tmp_path):
    synthesise(PLAN, tmp_path, Reporter("quiet"), 0)
    clip = read_clip(place_of(tmp_path, PLAN, clip_jobs(PLAN)[0]))
    assert clip.identity == name_of(PLAN, 0)
    assert len(clip.frames) == 25
    assert clip.audio.shape == (25 * 640,)
    assert np.abs(clip.audio).max() > 1000
    assert clip.phonemes.max() < len(INDEX)
    assert clip.phonemes.min() >= 0
    assert clip.emotion.sum() == pytest.approx(1, abs=1e-5)
    group = read_group(place_of(tmp_path, PLAN, swap_jobs(PLAN)[0]))
    assert group.counts() == (2, 2, 9)
    assert len(set(group.identity)) == 2
    for pose in (group.rotation, group.translation, group.log_scale):
        np.testing.assert_array_equal(pose[0], pose[1])  # so one's pose can be given to the other


def test_groups_may_hold_few_pictures_of_many_people(quick, tmp_path):
    plan = PLAN._replace(
        identities=400,
        minutes=20.0,
        swaps=40,
        swap_dynamics=3,
        any_faces=True,
        val_share=0.0,
        test_share=0.0,
    )
    jobs = swap_jobs(plan)
    assert {job.split for job in jobs} == {"train"}
    assert len({person for job in jobs for person in job.people}) > 0.8 * 2 * len(jobs)
    assert corpus.draw(jobs[0], plan, tmp_path) == 12
    assert read_group(place_of(tmp_path, plan, jobs[0])).counts() == (2, 2, 3)
    _, others = corpus.draw_missing(
        jobs[:2], plan._replace(swap_poses=3), tmp_path, Reporter("quiet"), 0
    )
    assert others == 18


def test_groups_may_hold_many_heads_in_one_skin(quick, tmp_path, monkeypatch):
    needs.require_weights("anny-heads")
    plan = PLAN._replace(
        identities=60,
        minutes=3.0,
        swaps=20,
        swap_people=5,
        swap_dynamics=2,
        swap_looks=True,
        any_faces=True,
        val_share=0.0,
        test_share=0.0,
    )
    seen = []
    monkeypatch.setattr(swapping, "person_of", lambda plan, n: sample_identity(n))
    monkeypatch.setattr(
        Drawing, "load", lambda self, who: seen.append(who) or setattr(self, "person", who)
    )
    jobs = swap_jobs(plan)
    assert all(len(set(job.people)) == 5 for job in jobs)
    assert len({person for job in jobs for person in job.people}) > 40
    corpus.draw(jobs[0], plan, tmp_path)
    assert read_group(place_of(tmp_path, plan, jobs[0])).counts() == (5, 2, 2)
    wanted = [sample_identity(n) for n in jobs[0].people]
    assert [who.shape for who in seen] == [who.shape for who in wanted]
    assert {looks_of(who) for who in seen} == {looks_of(wanted[0])}
    assert looks_of(wanted[1]) != looks_of(wanted[0])
    with pytest.raises(UserError, match="at least 5 identities"):
        check_plan(plan._replace(identities=4))
    with pytest.raises(UserError, match="5 identities in one split"):
        check_plan(plan._replace(identities=6, val_share=0.5))


def test_every_draw_of_another_is_as_likely():
    plan = Plan(
        seed=2,
        identities=6,
        minutes=6,
        swaps=6000,
        swap_people=3,
        any_faces=True,
        val_share=0.0,
        test_share=0.0,
    )
    people = [job.people for job in swap_jobs(plan)]
    assert all(len(set(group)) == 3 for group in people)
    for second in (1, 2):
        pairs = np.zeros((6, 6))
        np.add.at(pairs, tuple(np.array([[g[0], g[second]] for g in people]).T), 1)
        assert (np.diag(pairs) == 0).all()
        away = pairs[~np.eye(6, dtype=bool)]
        np.testing.assert_allclose(away, 200, atol=60)  # 4 standard deviations


def test_groups_tell_places_where_the_plan_says_so(quick, tmp_path):
    for wanted in (False, True):
        plan, out = PLAN._replace(places=wanted), tmp_path / str(wanted)
        job = swap_jobs(plan)[0]
        corpus.draw(job, plan, out)
        group = read_group(place_of(out, plan, job))
        if not wanted:
            assert group.places is None
            continue
        assert len(group.places) == len(group.images) == 36
        for number, (content, mask) in enumerate(zip(group.places, group.masks, strict=True)):
            places, there = decode_places(content)
            np.testing.assert_array_equal(there, decode_grey(mask, PLAN.size)[..., 0] > 127)
            pose = group.rotation[0, number // 9 % 2]
            np.testing.assert_allclose(
                places[there], np.tile([*pose[:2], 0.5], (there.sum(), 1)), atol=1e-3
            )


def test_voices_of_held_out_people_are_held_out(quick, monkeypatch):
    heard = {}
    monkeypatch.setattr(
        clipmaker, "utter", lambda _, seed, voice, frames: heard.setdefault(voice, spoken(seed, 25))
    )
    plan = Plan(seed=0, identities=60, minutes=3)
    for job in clip_jobs(plan):
        heard.clear()
        clipmaker.say(job, plan, sex=float(job.person % 2))
        (voice,) = heard
        assert (voice in HELD_OUT) == (job.split != "train")
        assert voice[1] == "fm"[job.person % 2]


def write_wave(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def test_given_speech_has_no_phoneme_labels(quick, tmp_path):
    write_wave(tmp_path / "a.wav", chatter(3, seed=1).waveform)
    plan = PLAN._replace(speech=(tmp_path / "a.wav",), swaps=0)
    clip = clipmaker.make_clip(clip_jobs(plan)[0], plan)
    assert clip.phonemes is None
    assert clip.arkit[:, 24].std() > 0.01  # jawOpen
    assert np.abs(clip.audio).max() > 1000
    write_wave(tmp_path / "a.wav", np.zeros(32_000))
    with pytest.raises(UserError, match="is silent"):
        clipmaker.make_clip(clip_jobs(plan)[1], plan)


def test_gaze_turns_with_the_head():
    # A head that turns to the picture's left by 0.2 takes eyes that look ahead along.
    turned = turn_gaze(np.zeros((1, 2)), np.array([[0.0, 0.2, 0.0], [0.1, 0.0, 0.0]]))
    np.testing.assert_allclose(turned[0, 0], [-0.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(turned[1, 0], [0.0, -0.1], atol=1e-12)
    both = turn_gaze(np.array([[0.3, 0.1]]), np.zeros((1, 3)))
    np.testing.assert_allclose(both[0, 0], [0.3, 0.1])


def test_mistakes_of_the_command_are_one_line(tmp_path, capsys):
    out = str(tmp_path / "out")
    for words, message in (
        (["--minutes", "0"], "--minutes 0"),
        (["--assets", str(tmp_path / "none")], "no such folder"),
        (["--speech", str(tmp_path)], "holds no sound"),
        (["--workers", "-1"], "--workers"),
    ):
        assert main(["synth", "-o", out, *words]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


NETWORKS = ("anny-heads", "dlib-face-recognition", *KOKORO)


@pytest.mark.slow
def test_the_command_draws_speaks_and_repeats(tmp_path):
    needs.require_weights(*NETWORKS)
    needs.require_gl()
    words = ["--identities", "2", "--minutes", "0.04", "--size", "64", "--seed", "5", "--quiet"]
    for name in ("a", "b"):
        assert main(["synth", "-o", str(tmp_path / name), *words, "--workers", "1"]) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert json.loads((tmp_path / "a" / "plan.json").read_text())["seed"] == 5
    plan = Plan(seed=5, identities=2, minutes=0.04, size=64)
    clip = read_clip(place_of(tmp_path / "a", plan, clip_jobs(plan)[0]))
    assert clip.landmarks.shape[0] == len(clip.frames)
    cast = [
        json.loads((tmp_path / name / "cast.json").read_text())["people"] for name in ("a", "b")
    ]
    assert cast[0] == cast[1]
    one, other = (np.array(row["vector"]) for row in cast[0])
    assert np.linalg.norm(one - other) > 0.6 or not cast[0][1]["passed"]
    assert sample_identity(cast[0][0]["seed"]) != sample_identity(cast[0][1]["seed"])

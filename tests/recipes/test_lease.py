"""The lease's run in its parts: clock, drawing, output, what each part begins with."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recipes.demo.lease import bundle, drawing, output, parts, predict, start, train
from recipes.demo.lease.clock import LAST, Clock, ends_of, rate_at
from recipes.demo.lease.drawing import Drawing, Job, plans_of
from tests.data_pipeline.helpers import make_group
from vasa_jax.bundle import load_bundle, save_bundle
from vasa_jax.data_pipeline.synthetic.plan import swap_jobs
from vasa_jax.errors import UserError
from vasa_jax.extensions.arkit_code import SCALE, eyes_in_head, fold_read_outs, label_code
from vasa_jax.typing import ARKIT

ROOT = Path(__file__).parents[2]


def test_parts_share_the_seconds_and_rates_follow_the_clock():
    assert ends_of([1.0, 3.0], 40.0) == [10.0, 40.0]
    assert sum(part.share for part in parts.LEASE.parts) == pytest.approx(1)
    assert 0 < rate_at(1.0, 0.0) < rate_at(1.0, 0.02) < rate_at(1.0, 0.05) == 1.0
    falling = [rate_at(1.0, share) for share in np.linspace(0.05, 1, 20)]
    assert falling == sorted(falling, reverse=True)
    # A part that goes on while the next is compiled stays at its last rate.
    assert rate_at(1.0, 1.0) == pytest.approx(LAST) == pytest.approx(rate_at(1.0, 2.5))


def test_a_clock_that_is_stopped_has_no_time_left():
    times = iter([5.0, 7.0, 8.0, 9.0])
    clock = Clock(10.0, lambda: next(times))
    assert clock.passed == 2.0
    assert clock.left == 7.0
    clock.stop(15, None)
    assert clock.left == 0.0


def test_held_out_people_are_others_and_come_first():
    scale = parts.REHEARSAL
    train, held = plans_of(scale, 7, None)
    assert train.seed != held.seed
    assert train.places
    assert held.places
    assert (len(swap_jobs(train)), len(swap_jobs(held))) == (scale.groups, scale.held)


def fake_draw(job: Job, plans, swaps, tries):
    """Stands in for `drawing.draw` where no head can be drawn."""
    if tries == 0:
        raise RuntimeError("no EGL")
    return drawing.Made(job.held, (job.swap.number, plans[job.held].seed, swaps))


def test_drawing_hands_over_what_is_ready_and_says_why_it_cannot(monkeypatch):
    monkeypatch.setattr(drawing, "draw", fake_draw)
    plans = plans_of(parts.REHEARSAL, 7, None)
    running = Drawing(plans, swaps=3, tries=2, workers=0)
    found = []
    while len(found) < parts.REHEARSAL.held + parts.REHEARSAL.groups:
        found += running.take(2)
        time.sleep(0.001)
    running.close()
    assert [made.held for made in found[:3]] == [True, True, False]
    assert found[0].rows == (0, plans[1].seed, 3)
    assert [made.rows[0] for made in found[2:]] == list(range(parts.REHEARSAL.groups))
    broken = Drawing(plans, swaps=3, tries=0, workers=0)
    while broken.ready.empty():
        time.sleep(0.001)
    with pytest.raises(UserError, match=r"no head can be drawn.*no EGL"):
        broken.take(2)
    broken.close()


def test_a_job_is_a_group_as_arrays(monkeypatch):
    made = make_group(3, size=64, places=32)
    monkeypatch.setattr(
        "vasa_jax.data_pipeline.synthetic.swapping.make_group", lambda job, plan: made
    )
    plans = plans_of(parts.REHEARSAL, 7, None)
    job = swap_jobs(plans[0])[4]
    first, again = (drawing.draw(Job(False, job), plans, 5, 2) for _ in range(2))
    assert first.rows.swaps.shape == (5, 6)
    np.testing.assert_array_equal(first.rows.swaps, again.rows.swaps)
    np.testing.assert_array_equal(first.rows.people, job.people)


def test_parameters_come_home_in_files_of_a_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "MOST", 3000)
    rng = np.random.default_rng(0)
    params = {"a": {"kernel": rng.normal(size=(40, 30))}, "b": {"bias": rng.normal(size=(500,))}}
    out = output.Output(tmp_path / "out")
    assert out.save("face", params, {"part": "x"}) == 2 * (1200 + 500)
    assert len(list((tmp_path / "out").glob("face-*"))) == 2
    back = output.load(tmp_path / "out", "face")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2.0**-8), params, back)
    out.log(at=1.0, note="x")
    assert json.loads((tmp_path / "out" / output.LOG).read_text()) == {"at": 1.0, "note": "x"}
    with pytest.raises(UserError, match="latest-0"):
        output.load(tmp_path / "out", "latest")


def test_read_outs_of_the_label_code_are_its_inverse_and_fold_into_themselves():
    rng = np.random.default_rng(0)
    arkit = rng.uniform(0, 1, (40, len(ARKIT))).astype(np.float32)
    gaze, rotation = (rng.normal(0, 0.05, (40, n)).astype(np.float32) for n in (2, 3))
    heads = start.read_outs(56, gaze, rotation)
    eyes = np.asarray(eyes_in_head(jnp.asarray(gaze), jnp.asarray(rotation)))
    code = np.asarray(label_code(jnp.asarray(arkit), jnp.asarray(eyes), 56))
    layer = heads["arkit"]["Dense_0"]
    np.testing.assert_allclose(code @ layer["kernel"] + layer["bias"], arkit, atol=1e-6)
    layer = heads["gaze"]["Dense_0"]
    read = np.concatenate([code, rotation], 1) @ layer["kernel"] + layer["bias"]
    assert np.abs(read - gaze).max() < 0.02 < np.abs(eyes - gaze).max()
    head = {"kernel": rng.normal(size=(7, 56)), "bias": rng.normal(size=56)}
    head["kernel"][:, 54:] = head["bias"][54:] = 0
    folded = fold_read_outs({"face": {"dyn": {"head": head}}, **heads})["face"]["dyn"]["head"]
    np.testing.assert_allclose(folded["kernel"], SCALE * head["kernel"] / SCALE, rtol=1e-5)


@pytest.mark.parametrize("scale", [parts.LEASE, parts.REHEARSAL], ids=["lease", "rehearsal"])
def test_every_part_has_a_config(scale):
    for part in scale.parts:
        assert part.size <= scale.picture
        assert part.config.precision == scale.model.precision
        smaller = part.with_batch(2)
        train = smaller.config.train_pose if part.kind == "pose" else smaller.config.train_face
        assert (train.batch, train.learning_rate) == (smaller.batch, part.rate) == (2, part.rate)
        assert train.schedule == "constant"  # each dispatch sets its own rate


def test_a_part_that_fails_costs_itself_and_one_without_room_gets_half_the_batch(
    tmp_path, monkeypatch
):
    run = train._Run.__new__(train._Run)
    run.output, run.clock = output.Output(tmp_path), Clock(100.0)
    done: Future = Future()
    done.set_result(None)
    run.ready, asked, tried = [done], [], []
    part = parts.LEASE.parts[2]
    monkeypatch.setattr(run, "_compile", lambda smaller: asked.append(smaller.batch) or done)

    def fail(number, part, end):
        tried.append(part.batch)
        if part.batch > 20:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        raise ValueError("something else")

    monkeypatch.setattr(run, "_part", fail)
    run._try(0, part, 50.0)
    assert tried == [64, 32, 16]
    assert asked == [32, 16]
    lines = [json.loads(line) for line in (tmp_path / output.LOG).read_text().splitlines()]
    assert [line["failed"] for line in lines][-1] == "something else"


def test_what_comes_home_and_stage_2_make_a_bundle(debug_bundle, tmp_path):
    save_bundle(tmp_path / "before", debug_bundle)
    face = jax.tree.map(lambda x: np.asarray(x) + 1, debug_bundle.params["face"])
    output.Output(tmp_path / "out").save("face", face, {"part": "x"})
    words = [str(tmp_path / "out"), "-o", str(tmp_path / "after"), "--config", "debug"]
    assert bundle.main([*words, "--checkpoint", str(tmp_path / "before")]) == 0
    after = load_bundle(tmp_path / "after")
    # bfloat16 on the way, int8 kernels at its end.
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=0.01, atol=0.02)  # noqa: E731
    jax.tree.map(close, jax.tree.map(np.asarray, after.params["face"]), face)
    one, two = (x["motion"] for x in (after.params, debug_bundle.params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.02, atol=0.01), one, two)
    broken = {**face, "decoder": {}}
    output.Output(tmp_path / "other").save("face", broken, {"part": "x"})
    with pytest.raises(UserError, match="lacks"):
        bundle.main([str(tmp_path / "other"), *words[1:], "--checkpoint", str(tmp_path / "before")])


@pytest.mark.slow
def test_the_rehearsal_trains_every_part_and_its_weights_make_a_bundle(tmp_path):
    """As on the accelerator, but for sizes: drawing processes, compiling threads, all parts."""
    pytest.importorskip("moderngl")
    out, bare = tmp_path / "out", tmp_path / "bare"
    bare.mkdir()
    # What a lent machine lacks.
    (bare / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('av', 'grain', 'tensorflow_datasets', 'tensorboardX', 'array_record'):\n"
        "    sys.modules[name] = None\n"
    )
    words = ["--rehearse", "--minutes", "12", "-o", str(out), "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "recipes.demo.lease.train", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(bare)},
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (out / output.LOG).read_text().splitlines()]
    ended = {line["part"]: line for line in lines if "kept" in line}
    assert list(ended) == [part.name for part in parts.REHEARSAL.parts]
    assert all(line["steps"] > 0 and line["before"] and line["after"] for line in ended.values())
    assert lines[-1]["groups"] > parts.REHEARSAL.least
    assert max(file.stat().st_size for file in out.iterdir()) <= 16 * 2**20
    if any(line["kept"] for line in ended.values()):
        face = output.load(out, "face")
        assert {"pose", "dyn", "decoder"} <= set(face)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(parts.LEASE.parts)))
def test_programs_of_the_lease_lower_for_cuda_at_their_real_sizes(number):
    scale = parts.LEASE
    found = predict.count(scale, scale.parts[number])
    (row,) = predict.predict(
        scale._replace(parts=(scale.parts[number],)), {scale.parts[number].name: found}, 9.0
    )
    assert found["flops"] > 1e11
    assert 0 < row["step_seconds"] < 1
    assert found["operations"]["run"] < 70_000  # what is compiled in the first two minutes

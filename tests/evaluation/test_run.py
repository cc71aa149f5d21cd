"""Whole evaluations: the truth is perfect in every metric, a known fault has its known size."""

import numpy as np
import pytest

from tests.evaluation import helpers
from vasa_jax.errors import UserError
from vasa_jax.evaluation.metric_specs import SECTIONS
from vasa_jax.evaluation.run import evaluate
from vasa_jax.evaluation.statistics import Summary
from vasa_jax.evaluation.targets import check_targets
from vasa_jax.evaluation.types import EvalClip, Settings
from vasa_jax.inference.progress import Reporter

SETTINGS = Settings(frames=6, seconds=2.4, seeds=2, sources=8, drivers=4, sweep_seconds=1.0)
CLIPS = [helpers.make_clip(n) for n in range(3)]
SWAPS = [helpers.make_swaps(n) for n in range(2)]


def run(networks=helpers.NETWORKS, clips=CLIPS, swaps=SWAPS, **faults):
    model = helpers.ToyModel(**faults)
    return evaluate(model, clips, swaps, len(swaps), networks, SETTINGS, Reporter("quiet"))


@pytest.fixture(scope="module")
def perfect():
    return run()


def mean(found, key):
    return found.summaries[key].mean


def test_the_helpers_measure_what_they_render(rng):
    motion = rng.uniform(-1.9, 1.9, (5, helpers.NUMBERS))
    numbers, who = helpers.parse(helpers.render(np.array([7, 200], np.uint8), motion))
    np.testing.assert_allclose(numbers, motion, atol=1e-4)
    assert (who == [7, 200]).all()


def test_the_truth_is_perfect(perfect):
    exact = {
        "self.psnr": 100,
        "self.ssim": 1,
        "self.lpips": 0,
        "self.same_person": 1,
        "self.identity_distance": 0,
        "self.pose_error": 0,
        "self.gaze_error": 0,
        "self.distance_error": 0,
        "self.mouth_error": 0,
        "self.face_found": 1,
        "self.pose_error_own": 0,
        "cross.same_person": 1,
        "cross.identity_distance": 0,
        "cross.pose_error": 0,
        "cross.gaze_error": 0,
        "cross.distance_error": 0,
        "cross.nearer_source": 1,
        "swap.nearer_source": 1,
        "strangers.same_person": 0,
        "floor.same_person": 1,
        "swap.psnr": 100,
        "swap.lpips": 0,
        "swap.same_person": 1,
        "swap.pose_error": 0,
        "pose_only.lpips": 0,
        "dyn_only.lpips": 0,
        "pose_only.gain": 1,
        "dyn_only.gain": 1,
        "pose_only.expression_share": 0,
        "dyn_only.pose_share": 0,
        "pose_only.expression_share_own": 0,
        "dyn_only.pose_share_own": 0,
        "exact.pose_only.expression_share": 0,
        "exact.dyn_only.pose_share": 0,
        "speech.mouth_correlation": 1,
        "speech.closed": 1,
        "truth.closed": 1,
        "speech.offset": 0,
        "speech.aperture_error p b m": 0,
        "speech.aperture_error open": 0,
        "speech.gaze_error": 0,
        "speech.diversity_dyn": 0,
        **{
            f"sweep.{name}.{key}": 1
            for name in ("gaze_yaw", "gaze_pitch", "distance", "anger")
            for key in ("correlation", "monotonic")
        },
    }
    for key, value in exact.items():
        # Sixteen bits of a picture are a little less than float32; distances add up 0.01 deg.
        assert mean(perfect, key) == pytest.approx(value, abs=0.02), key
    assert mean(perfect, "dyn_only.lpips_of_copy") > 0.001
    assert mean(perfect, "self.pose_error_against_label") < 0.01
    assert perfect.offset == 0
    assert perfect.counts == {"clips": 3, "people": 3, "swap groups": 2}
    assert mean(perfect, "sweep.gaze_yaw.slope") == pytest.approx(1, abs=1e-3)
    assert perfect.sweeps["distance"].curve.answers == pytest.approx(
        perfect.sweeps["distance"].curve.commands, abs=1e-3
    )


def test_the_truth_meets_every_target(perfect):
    sweeps = {k: tuple(r) for k, r in perfect.sweeps.items()}
    table = check_targets(perfect.summaries, perfect.offset, sweeps)
    assert len(table) == 14
    # Seeds of the toy differ in their pitch alone, smoothly: no jump at a window's edge.
    assert [row for row in table if not row.met] == []


def test_every_metric_has_its_place_in_the_report(perfect):
    known = {key for figures in SECTIONS.values() for key in figures}
    assert set(perfect.summaries) <= known


def test_a_turned_head_is_reported_in_degrees():
    found = run(turned=np.radians(5))
    for key in (
        "self.pose_error",
        "cross.pose_error",
        "swap.pose_error",
        "swap.pose_error_own",
        "cross.pose_error_own",
        "self.pose_error_against_label",
    ):
        assert mean(found, key) == pytest.approx(5, abs=0.02), key
    assert mean(found, "self.psnr") < 60
    assert mean(found, "cross.gaze_error") < 0.02
    # A constant turn is no leakage: it is in every image of ours.
    assert mean(found, "dyn_only.pose_share") == pytest.approx(0, abs=1e-3)


def test_leakage_is_reported_as_its_share():
    found = run(leak=0.5)
    # The mouth opens by 0.5 * 0.2 when the head turns; by 0.4 + 0.1 or 0.4 - 0.1 on a full
    # transfer, as often one as the other: 0.1 / 0.4.
    assert mean(found, "pose_only.expression_share") == pytest.approx(0.25, abs=0.002)
    assert mean(found, "pose_only.expression_share_own") == pytest.approx(0.25, abs=0.002)
    assert mean(found, "dyn_only.pose_share") == pytest.approx(0, abs=1e-3)


def test_a_still_face_is_no_better_than_a_copy():
    found = run(still=True)
    assert mean(found, "dyn_only.gain") == pytest.approx(0, abs=1e-6)
    assert mean(found, "dyn_only.lpips") == pytest.approx(mean(found, "dyn_only.lpips_of_copy"))
    # Nothing moves, even in a full transfer: the share is undefined.
    assert found.summaries["pose_only.expression_share"].mean is None
    assert found.summaries["pose_only.expression_share"].missing == 16


def test_another_face_is_another_person():
    found = run(other_face=16)  # two units in each of two directions
    assert mean(found, "cross.same_person") == mean(found, "swap.same_person") == 0
    assert mean(found, "cross.identity_distance") == pytest.approx(np.sqrt(8))


def test_a_face_that_leans_to_the_driver():
    # The people of a group are 50 levels of green apart: one now looks like the other, the other
    # like nobody, but more like itself than like the first.
    found = run(other_face=45)
    assert mean(found, "swap.nearer_source") == 0.5


def test_the_error_of_the_measurement_is_not_the_models(perfect):
    def confusing(frames, video):
        exact = helpers.measure(frames, video)
        expression = exact.expression.copy()
        expression[:, 2] += 0.5 * exact.rotation[:, 1]  # a turned head looks like an open mouth
        rotation = exact.rotation.copy()
        rotation[:, 0] += 0.2 * exact.mouth
        return exact._replace(expression=expression, rotation=rotation)

    found = run(helpers.NETWORKS._replace(analyze=confusing))
    assert mean(found, "exact.pose_only.expression_share") == pytest.approx(0.25, abs=0.002)
    assert mean(found, "exact.dyn_only.pose_share") > 0.3
    for key in ("pose_only.expression_share", "dyn_only.pose_share"):
        assert mean(found, key) == pytest.approx(0, abs=1e-6)
    # Of a leaking model its own part alone is reported.
    leaking = run(helpers.NETWORKS._replace(analyze=confusing), leak=0.5)
    share = mean(leaking, "pose_only.expression_share")
    assert share == pytest.approx(mean(run(leak=0.5), "pose_only.expression_share"), abs=0.002)


@pytest.mark.parametrize("late", [-2, 3])
def test_a_delay_is_reported_in_frames(late):
    found = run(late=late, swaps=[])
    assert found.offset == late
    assert mean(found, "speech.offset") == late
    assert mean(found, "speech.mouth_correlation") < 0.7


def test_lips_that_never_close():
    found = run(open_lips=0.05, swaps=[])
    assert mean(found, "speech.closed") == 0
    assert mean(found, "truth.closed") == 1
    assert mean(found, "speech.aperture_error p b m") == pytest.approx(5, abs=0.01)
    assert mean(found, "speech.mouth_correlation") > 0.999


def test_jumps_at_window_edges(perfect):
    found = run(jumpy=0.3, swaps=[])
    assert mean(perfect, "speech.jump_ratio") < 1.1
    assert mean(found, "speech.jump_ratio") > 3


def test_a_model_that_ignores_its_controls_has_no_response():
    found = run(ignores_controls=True, swaps=[])
    assert found.sweeps["gaze_yaw"].correlation is None
    assert found.sweeps["gaze_yaw"].monotonic == 0
    rows = check_targets(
        found.summaries, found.offset, {k: tuple(r) for k, r in found.sweeps.items()}
    )
    assert [row.met for row in rows if "sweep" in row.text] == [False] * 3


def test_faces_that_are_not_found_count_against_the_model():
    def failing(frames, video):
        exact = helpers.measure(frames, video)
        lost = helpers.parse(frames)[1][:, 0] > 100  # ours, by the faulty colour
        return exact._replace(
            **{
                k: np.where(lost.reshape(-1, *[1] * (v.ndim - 1)), np.nan, v)
                for k, v in exact._asdict().items()
                if k != "emotion"
            }
        )

    found = run(helpers.NETWORKS._replace(analyze=failing), swaps=[], other_face=101)
    assert mean(found, "self.face_found") == mean(found, "self.same_person") == 0
    assert found.summaries["self.identity_distance"].mean is None
    assert found.summaries["cross.pose_error"] == Summary(0, 18, 0, None, None, None, None)
    assert found.offset is None
    assert found.sweeps["gaze_yaw"].monotonic is None


def test_without_labels_and_networks_what_can_be_measured_is():
    bare = [c._replace(rotation=None, gaze=None, log_scale=None, phonemes=None) for c in CLIPS[:1]]
    found = run(helpers.NETWORKS._replace(lpips=None, embed=None), clips=bare, swaps=[])
    assert isinstance(bare[0], EvalClip)
    assert mean(found, "self.psnr") == 100
    for key in (
        "self.lpips",
        "self.same_person",
        "cross.pose_error",
        "speech.closed",
        "self.pose_error_against_label",
    ):
        assert key not in found.summaries
    with pytest.raises(UserError, match="no clips"):
        run(clips=[], swaps=[])


def test_fvd_of_the_truth_is_that_of_the_truth():
    def features(videos):
        return np.stack([helpers.parse(v)[0][:, helpers.MOUTH] for v in videos])

    found = run(helpers.NETWORKS._replace(video_features=features), swaps=[])
    # Two runs of 25 frames in each of three clips, two seeds with the same mouth.
    assert (found.fvd.ours, found.fvd.truth) == (12, 6)
    assert found.fvd.by_divisor["n"] == pytest.approx(0, abs=1e-3)
    late = run(helpers.NETWORKS._replace(video_features=features), swaps=[], open_lips=0.3)
    assert late.fvd.by_divisor["n"] == pytest.approx(25 * 0.09, abs=0.01)

"""Every metric against scikit-image, SciPy, NumPy or a value known beforehand."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats
from scipy.spatial.transform import Rotation
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vasa_jax import angles
from vasa_jax.errors import UserError
from vasa_jax.evaluation import audio_driven, controllability, image_metrics, lip_sync, pose_metrics
from vasa_jax.evaluation.frechet import frechet_distance
from vasa_jax.evaluation.statistics import Samples, Summary, bootstrap_interval


def pictures(rng, noise):
    a = rng.integers(0, 256, (3, 24, 20, 3), np.uint8)
    a[1] = np.arange(20, dtype=np.uint8)[:, None] * 12  # smooth
    b = np.clip(a + rng.normal(0, noise, a.shape), 0, 255).astype(np.uint8)
    return a, b


@pytest.mark.parametrize("noise", [3.0, 40.0])
def test_psnr_and_ssim_are_scikit_images(rng, noise):
    a, b = pictures(rng, noise)
    wanted = [peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(image_metrics.psnr(a, b), wanted, rtol=1e-12)
    wanted = [
        structural_similarity(
            x,
            y,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(image_metrics.ssim(a, b), wanted, atol=1e-12)


def test_equal_pictures_are_perfect(rng):
    a, _ = pictures(rng, 1.0)
    assert (image_metrics.psnr(a, a) == image_metrics.IDENTICAL_DB).all()
    np.testing.assert_allclose(image_metrics.ssim(a, a), 1, atol=1e-12)
    with pytest.raises(ValueError, match="smaller"):
        image_metrics.ssim(a[:, :8], a[:, :8])


def test_response_gain_is_the_share_of_the_change(rng):
    exact = rng.normal(size=(4, 3, 3, 3))
    np.testing.assert_allclose(image_metrics.change_gain(0.3 * exact, exact), 0.3)
    exact[1] = 0
    assert np.isnan(image_metrics.change_gain(exact, exact)[1])


def test_pose_error_is_scipys_angle_of_rotation(rng):
    a, b = rng.uniform(-0.9, 0.9, (2, 50, 3))
    b[:10] = a[:10] + 1e-6  # nearly equal: where an arc cosine would lose all digits
    turn = [Rotation.from_euler("xyz", v) for v in (a, b)]  # extrinsic: Rz Ry Rx
    wanted = np.degrees((turn[0].inv() * turn[1]).magnitude())
    np.testing.assert_allclose(pose_metrics.pose_error(a, b), wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(angles.rotation_matrices(a), turn[0].as_matrix(), atol=1e-12)
    half_turn = pose_metrics.pose_error(np.zeros((1, 3)), np.array([[0, np.pi, 0]]))
    np.testing.assert_allclose(half_turn, 180)


def test_gaze_error_is_the_angle_between_directions(rng):
    a, b = rng.uniform(-0.7, 0.7, (2, 50, 2))
    x, y = angles.gaze_directions(a), angles.gaze_directions(b)
    np.testing.assert_allclose(np.linalg.norm(x, axis=-1), 1)
    wanted = np.degrees(np.arctan2(np.linalg.norm(np.cross(x, y), axis=-1), (x * y).sum(-1)))
    np.testing.assert_allclose(pose_metrics.gaze_error(a, b), wanted, atol=1e-9)
    # The data contract: (0, 0) into the camera, yaw to the right of the picture, pitch up.
    np.testing.assert_allclose(angles.gaze_directions(np.zeros((1, 2))), [[0, 0, -1]])
    assert (
        angles.gaze_directions(np.array([0.2, 0.1]))[0]
        > 0
        > angles.gaze_directions(np.array([0.2, 0.1]))[1]
    )


def test_distance_error_in_per_cent():
    # A head twice as large is half as far.
    np.testing.assert_allclose(
        pose_metrics.distance_error(np.log([2.0, 1.0]), np.zeros(2)), [50, 0]
    )


def test_delta_pose_norms():
    yaw = np.radians(np.array([0.0, 2.0, 5.0, np.nan, 7.0]))
    track = np.stack([np.zeros(5), yaw, np.zeros(5)], 1)
    for norm, share in (("geodesic", 1), ("l2", 1), ("l1", 1 / 3)):
        np.testing.assert_allclose(
            pose_metrics.delta_pose(track, norm), [2 * share, 3 * share, np.nan, np.nan]
        )
    with pytest.raises(ValueError, match="norm"):
        pose_metrics.delta_pose(track, "l3")


def test_correlation_is_numpys_on_the_known_frames(rng):
    a, b = rng.normal(size=(2, 40))
    b = b + a
    a[3] = b[7] = np.nan
    known = np.isfinite(a) & np.isfinite(b)
    wanted = np.corrcoef(a[known], b[known])[0, 1]
    np.testing.assert_allclose(lip_sync.correlation(a, b), wanted, rtol=1e-12)
    assert np.isnan(lip_sync.correlation(np.full(40, 0.1), b))
    assert np.isnan(lip_sync.correlation(a[:4], b[:4]))


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_audio_offset_finds_a_delay(rng, late):
    truth = np.convolve(rng.normal(size=120), np.ones(4), "same")
    ours = np.roll(truth, late) + 0.3 * rng.normal(size=120)
    found = lip_sync.lagged_correlation(ours, truth)
    assert lip_sync.audio_offset(found) == late
    # SciPy's own cross-correlation has its peak there, too.
    lags = scipy.signal.correlation_lags(120, 120)
    full = scipy.signal.correlate(ours - ours.mean(), truth - truth.mean())
    assert lags[full.argmax()] == late
    for lag, a, b in ((2, ours[2:], truth[:-2]), (-3, ours[:-3], truth[3:])):
        np.testing.assert_allclose(found[10 + lag], np.corrcoef(a, b)[0, 1])
    assert np.isnan(lip_sync.audio_offset(np.full(21, np.nan)))


def test_closures_of_bilabials():
    phonemes = ("sil", "p", "p", "a", "m", "b", "a", "a", "a", "p", "a")
    aperture = np.full(11, 0.2)
    aperture[2] = 0.01  # the first closes, the second (m and b) does not, the third was not seen
    aperture[8:] = np.nan
    assert lip_sync.segments(phonemes, frozenset("pbm")) == [(1, 3), (4, 6), (9, 10)]
    np.testing.assert_equal(lip_sync.closures(aperture, phonemes), [1, 0, np.nan])
    aperture[7] = 0.0  # one frame too far from the second
    assert lip_sync.closures(aperture, phonemes)[1] == 0
    assert lip_sync.closures(aperture, phonemes, slack=2)[1] == 1
    assert len(lip_sync.closures(aperture, ("a",) * 11)) == 0


def test_aperture_errors_by_class():
    phonemes = ("p", "m", "f", "æ", "t", "")
    ours = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 9.0])
    found = lip_sync.aperture_errors(ours, np.zeros(6), phonemes)
    np.testing.assert_allclose(found["p b m"], [10, 20])
    np.testing.assert_allclose(found["open"], [40])
    np.testing.assert_allclose(found["other"], [50])
    assert len(found["pause"]) == 0


def test_response_to_a_sweep(rng):
    commands = np.array([-20.0, -10, 0, 10, 20])
    perfect = controllability.response(commands, 0.5 * commands + 3)
    np.testing.assert_allclose(perfect, (1, 1, 0.5))
    answers = commands + rng.normal(0, 8, 5)
    fit = scipy.stats.linregress(commands, answers)
    found = controllability.response(commands[::-1], answers[::-1])
    np.testing.assert_allclose((found.correlation, found.slope), (fit.rvalue, fit.slope))
    deaf = controllability.response(commands, np.ones(5))
    assert np.isnan(deaf.correlation)
    assert deaf.monotonic == deaf.slope == 0
    assert controllability.response(commands, -commands).monotonic == 0
    assert np.isnan(controllability.response(commands[:2], commands[:2]).slope)
    holed = np.array([-20.0, -10, np.nan, 10, 20])
    assert controllability.response(commands, holed) == pytest.approx((1, 0.5, 1))


def test_diversity_of_seeds(rng):
    one = rng.normal(size=(1, 6, 12))
    std = np.full(12, 2.0)
    same = audio_driven.diversity(np.repeat(one, 3, 0), std)
    np.testing.assert_allclose(same, (0, 0), atol=1e-9)
    other = one.copy()
    other[..., 1] += np.radians(10)  # yaw on top of whatever pitch and roll: 10 degrees about y
    other[..., 7:] += 1.0
    flat = np.concatenate([one, other])
    flat[..., [0, 2]] = 0
    np.testing.assert_allclose(audio_driven.diversity(flat, std), (10, 0.5))
    with pytest.raises(ValueError, match="two"):
        audio_driven.diversity(one, std)


@pytest.mark.parametrize("divisor", ["n", "n-1"])
@pytest.mark.parametrize("counts", [(30, 40), (9, 50), (5, 6)])
def test_frechet_distance_is_scipys(rng, divisor, counts):
    k = 12
    a = rng.normal(size=(counts[0], k)) @ rng.normal(size=(k, k))
    b = rng.normal(size=(counts[1], k)) + 0.5
    covs = [np.cov(x, rowvar=False, ddof=int(divisor == "n-1")) for x in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = scipy.linalg.sqrtm(covs[0] @ covs[1])
    wanted = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covs[0] + covs[1] - 2 * root.real)
    tight = min(counts) > k  # SciPy's root of a singular matrix has about half of its digits
    np.testing.assert_allclose(
        frechet_distance(a, b, divisor), wanted, rtol=1e-8 if tight else 1e-4
    )
    np.testing.assert_allclose(frechet_distance(a, a, divisor), 0, atol=1e-9)
    np.testing.assert_allclose(frechet_distance(a, a + 2.0, divisor), 4 * k)


def test_frechet_distance_refuses_one_video(rng):
    with pytest.raises(UserError, match="two videos"):
        frechet_distance(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(ValueError, match="divisor"):
        frechet_distance(np.ones((2, 3)), np.ones((5, 3)), "n-2")


def test_bootstrap_is_scipys(rng):
    values = rng.gamma(2.0, size=40)
    found = bootstrap_interval(values, np.ones(40), resamples=20_000)
    wanted = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    np.testing.assert_allclose(found, wanted, rtol=0.01)
    with pytest.raises(ValueError, match="two groups"):
        bootstrap_interval(values[:1], np.ones(1))


def test_samples_count_groups_and_missing(rng):
    samples = Samples()
    samples.add("x", "anna", [1, 2, np.nan])
    samples.add("x", "ben", 6)
    found = samples.summary("x")
    assert (found.count, found.missing, found.groups) == (3, 1, 2)
    assert (found.mean, found.median) == (3, 2)
    # Only two people: the resamples are {anna twice, both, ben twice}.
    assert (found.low, found.high) == (1.5, 6)
    assert samples.summary("nothing") == Summary(0, 0, 0, None, None, None, None)
    samples.add_ratio("r", "anna", [1, 0], [10, 0])
    samples.add_ratio("r", "ben", 2, 5)
    found = samples.summary("r")
    assert found.count == 2
    np.testing.assert_allclose((found.mean, found.median), (3 / 15, 0.25))

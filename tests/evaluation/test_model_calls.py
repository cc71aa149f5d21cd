"""Resizing, frame numbers, and batched generation."""

import numpy as np

from tests.evaluation import helpers
from vasa_jax.evaluation.model_calls import evenly_spaced, generate_all, to_size
from vasa_jax.inference.request import Controls


def test_frames_shrink_by_the_mean_of_their_area(rng):
    frames = rng.integers(0, 256, (2, 8, 8, 3), np.uint8)
    assert to_size(frames, 8) is frames
    means = frames.reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
    assert np.abs(to_size(frames, 4) - means).max() <= 0.5
    assert to_size(frames, 16).shape == (2, 16, 16, 3)


def test_frame_numbers_are_evenly_spaced():
    assert evenly_spaced(11, 3) == [0, 5, 10]
    assert evenly_spaced(11, 3, first=1) == [1, 6, 10]
    assert evenly_spaced(2, 16) == [0, 1]


def test_generation_is_batched_in_order():
    class Recording(helpers.ToyModel):
        def generate_motion(self, sources, features, controls, seeds, *, sounds):
            sizes.append(len(seeds))
            return super().generate_motion(sources, features, controls, seeds, sounds=sounds)

    sizes, model, seeds = [], Recording(), list(range(10))
    waveform = np.zeros(640 * 5, np.float32)
    controls = [Controls(gaze=(float(seed), 0.0)) for seed in seeds]
    found = generate_all(model, waveform, model.audio(waveform), controls, seeds, None)
    assert sizes == [4, 4, 2]
    np.testing.assert_allclose([m[0, 7] for m in found], np.radians(seeds), rtol=1e-6)

"""Contact sheets: image grids and spectrograms."""

import numpy as np

from vasa_jax.evaluation.contact_sheets import GAP, TITLE, grid, spectrogram


def test_grid_puts_pictures_in_their_places():
    pictures = [
        [np.full((8, 8, 3), 10 * (3 * r + c), np.uint8) for c in range(3)] for r in range(2)
    ]
    sheet = grid(pictures, ("a", "b", "c"), tile=16)
    assert sheet.shape == (TITLE + 2 * 16 + GAP, 3 * 16 + 2 * GAP, 3)
    for r, c in np.ndindex(2, 3):
        y, x = TITLE + r * (16 + GAP), c * (16 + GAP)
        assert (sheet[y : y + 16, x : x + 16] == 10 * (3 * r + c)).all()


def test_spectrogram_shows_the_tone_where_it_is():
    wave = np.sin(2 * np.pi * 2000 * np.arange(16_000) / 16_000).astype(np.float32)
    wave[:8000] = 0
    shown = spectrogram(wave)
    assert shown.shape[0] == 257
    assert shown[:, 80].argmax() == 64  # 2 kHz of 8 kHz
    assert shown.max() == 0
    assert shown[:, 20].max() < -60
    assert np.isfinite(spectrogram(np.zeros(1600, np.float32))).all()

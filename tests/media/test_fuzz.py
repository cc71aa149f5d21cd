"""Cut and flipped files: a reader succeeds or raises UserError, never anything else."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import wavfile

from tests.media.helpers import grey_ramp, speech, write_audio
from vasa_jax.errors import UserError
from vasa_jax.media.audio import open_audio
from vasa_jax.media.image import read_image
from vasa_jax.media.video import VideoWriter, probe, read_metadata, read_video


def _read_video(path):
    probe(path)
    read_metadata(path)
    # Damaged timestamps may state long pauses: enough to see that frames keep coming.
    for frame in itertools.islice(read_video(path), 500):
        assert frame.dtype == np.uint8


READERS = {
    **dict.fromkeys((".png", ".jpg", ".webp", ".gif", ".tif"), read_image),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".m4a", ".ogg"), open_audio),
    **dict.fromkeys((".mp4", ".mkv"), _read_video),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    y, x = np.mgrid[:128, :128]
    image = Image.fromarray(np.stack([y, x, (x * y) % 256], -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for suffix in (".png", ".jpg", ".webp", ".tif"):
        image.save(folder / f"a{suffix}", exif=exif)
    image.convert("P").save(folder / "a.gif")
    sound = speech(0.3, 48_000)
    wavfile.write(folder / "a.wav", 48_000, sound[0])
    write_audio(folder / "a.mp3", sound, 48_000, "libmp3lame")
    write_audio(folder / "a.flac", sound, 48_000, "flac", sample_format="s16")
    write_audio(folder / "a.m4a", sound, 48_000, "aac")
    write_audio(folder / "a.ogg", sound, 48_000, "libopus")
    for suffix in (".mp4", ".mkv"):
        out = folder / f"a{suffix}"
        with VideoWriter(out, 32, 32, audio_from=folder / "a.wav", metadata={"seed": 1}) as video:
            video.write(grey_ramp(8, 32))
    return {suffix: (folder / f"a{suffix}").read_bytes() for suffix in READERS}


def _succeeds_or_tells(reader, path, data):
    path.write_bytes(data)
    try:
        reader(path)
    except UserError:
        return False
    return True


@pytest.mark.parametrize("suffix", READERS)
def test_whole_files_are_read(tmp_path, originals, suffix):
    assert _succeeds_or_tells(READERS[suffix], tmp_path / f"a{suffix}", originals[suffix])


# Deterministic, so that a rare crash shows in the commit that brings it; VASA_FUZZ digs deeper.
_FUZZ = settings(
    max_examples=int(os.environ.get("VASA_FUZZ", "40")),
    deadline=None,
    derandomize="VASA_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("suffix", READERS)
@_FUZZ
@given(share=st.floats(0, 1))
def test_truncation(tmp_path, originals, suffix, share):
    data = originals[suffix]
    _succeeds_or_tells(READERS[suffix], tmp_path / f"a{suffix}", data[: int(share * len(data))])


@pytest.mark.parametrize("suffix", READERS)
@_FUZZ
@given(
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=20),
    head=st.booleans(),
)
def test_flipped_bytes(tmp_path, originals, suffix, flips, head):
    data = bytearray(originals[suffix])
    span = min(200, len(data)) if head else len(data)  # headers are where readers break
    for share, change in flips:
        data[min(int(share * span), span - 1)] ^= change
    _succeeds_or_tells(READERS[suffix], tmp_path / f"a{suffix}", bytes(data))

"""From a dataset to the motion of stage 2: the frames' own vectors, splits, sound and labels."""

import json

import jax
import numpy as np
import pytest

from tests.data_pipeline.helpers import make_clip
from vasa_jax import cli
from vasa_jax.bundle import save_bundle
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.clip import write_clip
from vasa_jax.data_pipeline.datasets.read import open_dataset
from vasa_jax.data_pipeline.datasets.write import write_dataset
from vasa_jax.data_pipeline.extraction_clips import mean_distance, prepared_clips
from vasa_jax.data_pipeline.loading.image_codec import decode_rgb
from vasa_jax.errors import UserError
from vasa_jax.inference.motion_encoder import MotionEncoder
from vasa_jax.training.motion_clips import MotionClips, read_clip

CONFIG = get_config("debug")
SIZE = CONFIG.face.image_size


@pytest.fixture(scope="module")
def clips():
    """Two of the train split, one of each other; one without labels."""
    return {
        "train": [make_clip(0, "a", 12, SIZE), make_clip(4, "b", 9, SIZE)],
        "val": [make_clip(2, "c", 7, SIZE)],
        "test": [make_clip(3, "d", 3, SIZE, labels=False)],
    }


def _write(clips, out):
    files = {}
    for split, some in clips.items():
        files[split] = []
        for clip in some:
            files[split].append(out / "clips" / f"{clip.clip_id.replace('/', '-')}.npz")
            write_clip(files[split][-1], clip)
    write_dataset(out, "synthetic_heads", files)
    return out


@pytest.fixture(scope="module")
def folder(clips, tmp_path_factory):
    return _write(clips, tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def bundle(debug_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "debug"
    save_bundle(folder, debug_bundle)
    return folder


def _extract(folder, output, bundle, *more):
    return cli.main(
        [
            "extract-motion",
            str(folder),
            "-o",
            str(output),
            "--checkpoint",
            str(bundle),
            "--batch-size",
            "1",
            "--quiet",
            *more,
        ]
    )


@pytest.fixture(scope="module")
def made(folder, bundle, tmp_path_factory):
    output = tmp_path_factory.mktemp("motion")
    assert _extract(folder, output, bundle) == 0
    return output


def test_clips_keep_split_motion_sound_and_labels(clips, made, debug_bundle):
    encoder = MotionEncoder(debug_bundle.config, debug_bundle.params["face"], 4, jax.devices()[:1])
    mean = np.mean([clip.distance for clip in clips["train"]])
    for split, some in clips.items():
        for clip in some:
            found = read_clip(made / split / f"{clip.clip_id}.npz")
            pictures = np.stack([decode_rgb(f, SIZE) for f in clip.frames])
            wanted = encoder(pictures[k : k + 4] for k in range(0, len(pictures), 4))
            np.testing.assert_allclose(found["motion"], wanted, atol=1e-5)
            np.testing.assert_array_equal(np.round(found["waveform"] * 32767), clip.audio)
            if clip.emotion is None:
                assert not {"gaze", "distance", "emotion"} & set(found)
                continue
            np.testing.assert_array_equal(found["gaze"], clip.main_gaze)
            np.testing.assert_array_equal(found["emotion"], clip.emotion)
            np.testing.assert_allclose(found["distance"], clip.distance / mean, rtol=1e-6)
    report = json.loads((made / "report.json").read_text())
    assert (report["made"], report["failed"]) == (4, 0)


def test_stage_two_reads_the_labels(made):
    config = get_config("debug")
    batch = next(MotionClips(made, config, 4))
    assert batch.has_gaze.all()
    assert batch.has_distance.all()
    assert batch.has_emotion.all()
    np.testing.assert_allclose(np.unique(batch.distance.round(5)), [5 / 6, 7 / 6], atol=1e-4)
    held = next(MotionClips(made, config, 1, split="test"))
    assert not held.has_gaze.any()


def test_only_what_changed_is_extracted_again(clips, folder, made, bundle, tmp_path):
    assert _extract(folder, made, bundle) == 0
    report = json.loads((made / "report.json").read_text())
    assert (report["made"], report["skipped"]) == (0, 4)
    other = clips | {"val": [clips["val"][0]._replace(main_gaze=np.zeros(2, np.float32))]}
    again = _write(other, tmp_path)
    assert _extract(again, made, bundle) == 0
    report = json.loads((made / "report.json").read_text())
    assert (report["made"], report["skipped"]) == (1, 3)
    assert not read_clip(made / "val" / f"{clips['val'][0].clip_id}.npz")["gaze"].any()


def test_distances_are_over_the_train_splits_mean(folder, clips, tmp_path):
    dataset = open_dataset(folder)
    assert mean_distance(dataset) == pytest.approx(1.2)
    unknown = open_dataset(_write({"val": clips["test"]}, tmp_path))
    assert mean_distance(unknown) == 1.0
    frames, wave, labels = prepared_clips(unknown, CONFIG, 2)[clips["test"][0].clip_id].open()
    assert [len(batch) for batch in frames] == [2, 1]
    assert len(wave) == 3 * 640
    assert labels == {}


def test_mistakes_are_named(folder, bundle, tmp_path, capsys):
    for more, word in (
        (("--val-share", "0.1"), "leave out --val-share"),
        (("--audio", str(tmp_path)), "sound of its own"),
    ):
        assert _extract(folder, tmp_path / "out", bundle, *more) == 2
        assert word in capsys.readouterr().err
    small = _write({"train": [make_clip(0, "a", 4, 32)]}, tmp_path / "small")
    assert _extract(small, tmp_path / "out", bundle) == 2
    assert f"32 px, config 'debug' wants {SIZE} px or more" in capsys.readouterr().err
    escape = make_clip(0, "a", 4, SIZE)._replace(clip_id="../../a")
    bad = _write({"train": [escape]}, tmp_path / "escape")
    with pytest.raises(UserError, match="no relative path"):
        prepared_clips(open_dataset(bad), CONFIG, 1)

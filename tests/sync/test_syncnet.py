"""SyncNet against a torch module of random weights, from frames and samples to the score."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from vasa_jax.cli import main
from vasa_jax.errors import UserError
from vasa_jax.params import save_safetensors
from vasa_jax.sync import syncnet
from vasa_jax.sync.distances import sync_score

torch = pytest.importorskip("torch")
nn = torch.nn


def _units(conv, norm, layers):
    parts = []
    for channels, out, kernel, stride, padding, pool in layers:
        parts += [conv(channels, out, kernel, stride, padding), norm(out), nn.ReLU()]
        parts += [pool] if pool is not None else []
    return nn.Sequential(*parts)


class Theirs(nn.Module):
    """The network by the layer table of joonson/syncnet_python, written with torch's layers."""

    def __init__(self):
        super().__init__()
        flat, half = (1, 3, 3), (1, 2, 2)
        self.netcnnlip = _units(
            nn.Conv3d,
            nn.BatchNorm3d,
            [
                (3, 96, (5, 7, 7), half, 0, nn.MaxPool3d(flat, half)),
                (
                    96,
                    256,
                    (1, 5, 5),
                    (1, 2, 2),
                    (0, 1, 1),
                    nn.MaxPool3d(flat, (1, 2, 2), (0, 1, 1)),
                ),
                (256, 256, flat, 1, (0, 1, 1), None),
                (256, 256, flat, 1, (0, 1, 1), None),
                (256, 256, flat, 1, (0, 1, 1), nn.MaxPool3d(flat, half)),
                (256, 512, (1, 6, 6), 1, 0, None),
            ],
        )
        self.netcnnaud = _units(
            nn.Conv2d,
            nn.BatchNorm2d,
            [
                (1, 64, 3, 1, 1, nn.MaxPool2d(1, 1)),
                (64, 192, 3, 1, 1, nn.MaxPool2d(3, (1, 2))),
                (192, 384, 3, 1, 1, None),
                (384, 256, 3, 1, 1, None),
                (256, 256, 3, 1, 1, nn.MaxPool2d(3, 2)),
                (256, 512, (5, 4), 1, 0, None),
            ],
        )
        for name in ("netfcaud", "netfclip"):
            head = nn.Sequential(
                nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024)
            )
            setattr(self, name, head)


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    net = Theirs()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(
                    module.weight
                )  # else little of the input is left at the end
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                for value in (module.weight, module.running_var):
                    value.uniform_(0.5, 1.5)
                for value in (module.bias, module.running_mean):
                    value.normal_(0, 0.2)
        # Frames are 0..255 and log energies about 10: the first norms of trained weights know that.
        net.netcnnlip[1].running_mean.fill_(60.0).normal_(0, 30)
        net.netcnnlip[1].running_var.fill_(5000.0)
        net.netcnnaud[1].running_var.fill_(50.0)
    return net.eval()


@pytest.fixture(scope="module")
def state(theirs):
    return {name: value.numpy() for name, value in theirs.state_dict().items()}


def test_the_table_has_the_published_size(state):
    assert len(state) == 102
    counted = sum(v.size for k, v in state.items() if "running" not in k and "num_" not in k)
    assert counted == 13_631_616


def test_embeddings_and_score_are_torchs(theirs, state, monkeypatch):
    """The published loop over clips of 5 frames and 20 columns, BGR, raw int16."""
    features = pytest.importorskip("python_speech_features")
    rng = np.random.default_rng(1)
    blobs = rng.integers(0, 256, (13, 8, 8, 3), np.uint8)
    frames = blobs.repeat(28, 1).repeat(28, 2)
    samples = rng.integers(-9_000, 9_000, 12 * 640 + 100).astype(np.int16)
    monkeypatch.setattr(syncnet, "LIP_BATCH", 4)
    lips, sounds = syncnet.embed(syncnet.params_from_torch(state), frames, samples)

    count = 12 - 5  # of 12 whole frames of sound
    bgr = torch.from_numpy(frames[..., ::-1].astype(np.float32)).permute(3, 0, 1, 2)
    columns = torch.from_numpy(features.mfcc(samples, 16_000).T.astype(np.float32))
    with torch.no_grad():
        clips = torch.stack([bgr[:, i : i + 5] for i in range(count)])
        seen = theirs.netfclip(theirs.netcnnlip(clips).reshape(count, -1)).numpy()
        windows = torch.stack([columns[None, :, 4 * i : 4 * i + 20] for i in range(count)])
        heard = theirs.netfcaud(theirs.netcnnaud(windows).reshape(count, -1)).numpy()
    assert lips.shape == sounds.shape == (count, 1024)
    assert seen.std(0).mean() > 1e-2  # the clips differ
    assert heard.std(0).mean() > 1e-2
    assert_allclose(lips, seen, atol=1e-4)
    assert_allclose(sounds, heard, atol=1e-4)
    assert_allclose(sync_score(lips, sounds)[:2], sync_score(seen, heard)[:2], atol=1e-4)


def test_short_clips_are_not_measured(state, tmp_path):
    file = tmp_path / "syncnet.pth"
    torch.save({k: torch.from_numpy(v) for k, v in state.items()}, file)
    out = tmp_path / "syncnet.safetensors"

    assert main(["weights", "convert", "syncnet", str(file), "-o", str(out)]) == 0
    score = syncnet.load(out)
    assert not score(np.zeros((5, 224, 224, 3), np.uint8), np.zeros(9_000, np.int16)).measured
    assert not score(np.zeros((40, 224, 224, 3), np.uint8), np.zeros(0, np.int16)).measured
    found = score(np.zeros((7, 224, 224, 3), np.uint8), np.zeros(9_000, np.int16))
    assert found.measured


def test_other_weights_are_refused(state, tmp_path):
    file = tmp_path / "mine.model"
    torch.save({k: torch.from_numpy(v) for k, v in state.items()}, file)
    with pytest.raises(UserError, match="not the published syncnet_v2"):
        syncnet.load(file)
    with pytest.raises(UserError, match="cannot be read"):
        syncnet.load(tmp_path / "none.model")
    foreign = tmp_path / "foreign.safetensors"
    save_safetensors(foreign, {"a": np.zeros(3, np.float32)}, {})
    with pytest.raises(UserError, match="does not say that it is SyncNet's"):
        syncnet.load(foreign)
    with pytest.raises(UserError, match="not the weights of SyncNet"):
        syncnet.params_from_torch({"netcnnlip.0.weight": np.zeros((1, 1, 5, 7, 7))})
    short = state | {"netfclip.3.bias": np.zeros(512, np.float32)}
    with pytest.raises(UserError, match="weights of SyncNet: lips"):
        syncnet.params_from_torch(short)


def test_a_file_with_code_is_refused(tmp_path, capsys):
    """Converting reads plain tensors alone; nothing in a file is run."""
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    file = tmp_path / "evil.model"
    file.write_bytes(pickle.dumps({"netcnnlip.0.weight": Evil()}))

    out = tmp_path / "out.safetensors"
    assert main(["weights", "convert", "syncnet", str(file), "-o", str(out)]) == 2
    assert "not a torch file of plain tensors" in capsys.readouterr().err
    assert not (tmp_path / "harm").exists()
    assert not out.exists()

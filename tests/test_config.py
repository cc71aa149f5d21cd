"""Configs are values: overrides are typed, mistakes get one line, JSON keeps everything."""

import dataclasses
import json

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasa_jax.config import NAMES, Config, from_dict, get_config
from vasa_jax.config.overrides import to_dict
from vasa_jax.errors import UserError


@pytest.mark.parametrize("name", NAMES)
def test_named_configs_are_hashable_values_that_survive_json(name):
    config = get_config(name)
    assert config.name == name
    assert hash(config) == hash(get_config(name))
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("face.dyn_dim=32", lambda c: c.face.dyn_dim == 32),
        ("diffusion.eta=0.5", lambda c: c.diffusion.eta == 0.5),
        ("train_face.freeze_pose=true", lambda c: c.train_face.freeze_pose is True),
        ("face.decoder_widths=8,4", lambda c: c.face.decoder_widths == (8, 4)),
        ("precision=bf16", lambda c: c.precision == "bf16"),
        (" motion.heads = 4 ", lambda c: c.motion.heads == 4),
    ],
)
def test_overrides_are_read_as_the_type_of_their_key(text, read):
    assert read(get_config("debug", [text]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("face.dyn_dmi=32", "did you mean 'dyn_dim'"),
        ("fase.dyn_dim=32", "did you mean 'face'"),
        ("face.dyn_dim=many", "not a whole number"),
        ("face.dyn_dim=1.5", "not a whole number"),
        ("diffusion.eta=nan", "not a finite number"),
        ("train_face.freeze_pose=maybe", "not true or false"),
        ("face=3", "names a whole section"),
        ("precision.bits=3", "has no key"),
        ("face.dyn_dim", "not of the form"),
        ("precision=fp8", "not one of bf16, f32"),
        ("motion.heads=3", "multiple of motion.heads"),
        ("audio.encoder=hubert", "not one of mel, wav2vec2, whisper"),
        ("face.image_size=70", "must be a multiple"),
        ("diffusion.steps=0", "must be at least 1"),
        ("diffusion.steps=5000", "must lie in 1"),
        ("face.dyn_dim=-3", "must be at least 1"),
        ("face.warp_widths=", "must not be empty"),
        ("diffusion.eta=-1", "must be at least 0"),
        ("name=other", "cannot be changed"),
    ],
)
def test_a_bad_override_gets_one_line_that_says_why(text, words):
    with pytest.raises(UserError, match=words) as caught:
        get_config("debug", [text])
    assert "\n" not in str(caught.value)


def test_the_order_of_overrides_does_not_matter():
    """Half of them alone would be refused: only the whole has to fit together."""
    plain = [
        "face.extensions.compositing=false",
        "face.extensions.background=false",
        "face.extensions.portrait_features=0",
        "face.extensions.network_size=0",
        "audio.encoder=wav2vec2",
        "audio.variant=base",
        "audio.dim=768",
        "train_motion.augment_audio=false",
    ]
    configs = [get_config("demo", order) for order in (plain, plain[::-1])]
    assert configs[0] == configs[1]
    assert not configs[0].face.extensions.compositing
    assert get_config("debug", ["motion.layers=1", "motion.layers=3"]).motion.layers == 3
    with pytest.raises(UserError, match=r"needs face\.extensions\.compositing"):
        get_config("demo", plain[:1])


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'vasa1'"):
        get_config("vassa1")


def test_json_of_another_version_is_refused_by_the_key_it_lacks():
    data = to_dict(get_config("debug"))
    data["face"]["wings"] = 2
    with pytest.raises(UserError, match="wings"):
        from_dict(data)


def _keys(node=None, prefix=""):
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if dataclasses.is_dataclass(value):
            yield from _keys(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}"


@given(
    key=st.one_of(st.sampled_from(sorted(_keys(get_config("debug")))), st.text(max_size=20)),
    value=st.one_of(
        st.text(max_size=20),
        st.integers().map(str),
        st.floats().map(str),
        st.lists(st.integers(), max_size=4).map(lambda v: ",".join(map(str, v))),
    ),
)
def test_any_override_gives_a_config_or_one_clear_line(key, value):
    message = None
    try:
        assert isinstance(get_config("debug", [f"{key}={value}"]), Config)
    except UserError as error:
        message = str(error)
    assert message is None or (message and "\n" not in message)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_owns_its_fake_inputs(name):
    config = get_config(name)
    window = config.fake_window(3)
    assert config.fake_image(2).shape == (2, config.face.image_size, config.face.image_size, 3)
    assert window["motion"].shape == (3, config.motion.window, config.face.motion_dim)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in window.values())

"""ICC profiles, written byte by byte here (ICC.1:2022): what is read must be sRGB."""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.assets import PORTRAIT
from vasa_jax.inference.generate import load_portrait
from vasa_jax.inference.portrait import PasteBack
from vasa_jax.inference.progress import Reporter
from vasa_jax.inference.request import Picture
from vasa_jax.media.image import BACKGROUND, read_image

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
D50 = (0.9642, 1.0, 0.8249)
# Primaries adapted to D50 (Bradford), as Apple's profile has them, and sRGB's as HP's has them.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
# CSS Color 4, sample code of the specification: linear Display P3 to linear sRGB
P3_TO_SRGB = np.array(
    [
        [1.22494, -0.22494, 0],
        [-0.04206, 1.04206, 0],
        [-0.01964, -0.07864, 1.09827],
    ]
)


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def profile(space: bytes, kind: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    head = struct.pack(">I4sI4s4s4s", 0, b"\0\0\0\0", 0x04200000, kind, space, pcs)[4:]
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*D50) + bytes(48)
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, offset + len(body), len(content))
        body += content
    whole = head + table + body
    return struct.pack(">I", len(whole) + 4) + whole


def curve(*numbers: float) -> bytes:
    """A parametric curve: a gamma, or sRGB's kind of curve."""
    return b"para" + bytes(4) + struct.pack(">HH", {1: 0, 5: 3}[len(numbers)], 0) + fixed(*numbers)


def rgb_profile(columns) -> bytes:
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(*D50)}
    for letter, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*column)
        tags[letter + b"TRC"] = curve(*SRGB_CURVE)
    return profile(b"RGB ", b"mntr", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(*D50), b"kTRC": curve(gamma)}
    return profile(b"GRAY", b"mntr", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """An ink that lets L* fall in proportion: black from 100 to 0, the others to 60 % each."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4)
    light = (1 - corners[:, 3]) * np.prod(1 - 0.4 * corners[:, :3], 1)
    lab = np.stack([np.round(255 * light), *[np.full(16, 128.0)] * 2], 1).astype(np.uint8)
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += ramp * 4 + lab.tobytes() + ramp * 3
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(*D50), b"A2B0": table}
    return profile(b"CMYK", b"prtr", b"Lab ", tags)


def decode(values):
    v = np.asarray(values) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def encode(light):
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_display_p3_becomes_srgb(tmp_path, gradient, suffix):
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}
    path, image = tmp_path / f"a{suffix}", Image.fromarray(gradient)
    image.save(path, icc_profile=rgb_profile(P3), **options.get(suffix, {}))
    with Image.open(path) as stored:
        source = np.asarray(stored.convert("RGB"))
    wanted = encode(decode(source) @ P3_TO_SRGB.T)
    found = read_image(path).astype(float)
    assert np.abs(found - source).max() > 30  # else there would be nothing to mend
    assert np.abs(found - wanted).max() <= 2


def test_srgb_stays_as_it_is(tmp_path, gradient):
    said = []
    Image.fromarray(gradient).save(tmp_path / "a.png", icc_profile=rgb_profile(SRGB))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", said.append), gradient)
    assert not said


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "tRNS"])
def test_grey_profiles(tmp_path, mode):
    levels = np.arange(256, dtype=np.uint8).repeat(128).reshape(128, 256)
    image = Image.fromarray(levels.astype(np.uint16) * 257 if mode == "I;16" else levels)
    if mode == "LA":
        image = image.convert("LA")
    # PNG's colour key makes one level transparent.
    more = {"transparency": 7} if mode == "tRNS" else {}
    image.save(tmp_path / "a.png", icc_profile=grey_profile(1.5), **more)
    found = read_image(tmp_path / "a.png")
    wanted = encode((levels / 255.0) ** 1.5)[..., None].repeat(3, -1)
    if mode == "tRNS":
        wanted[levels == 7] = BACKGROUND
    assert np.abs(found - wanted).max() <= 2
    assert np.abs(found[..., 0].astype(int) - levels).max() > 20


def test_a_grey_picture_with_a_colour_profile(tmp_path, gradient):
    levels = gradient[..., 0]
    Image.fromarray(levels).save(tmp_path / "a.tif", icc_profile=rgb_profile(P3))
    assert np.abs(read_image(tmp_path / "a.tif") - levels[..., None].astype(int)).max() <= 1


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_cmyk_profiles(tmp_path, suffix):
    black = np.tile(np.arange(256, dtype=np.uint8), (128, 1))
    inks = np.stack([np.zeros_like(black)] * 3 + [black], -1)
    image = Image.fromarray(inks, "CMYK")
    image.save(tmp_path / f"a{suffix}", icc_profile=cmyk_profile(), quality=100)
    light = 100 * (1 - black / 255)
    luminance = np.where(light > 8, ((light + 16) / 116) ** 3, light / 903.3)  # CIE 1976
    found = read_image(tmp_path / f"a{suffix}").astype(float)
    assert np.abs(found - encode(luminance)[..., None]).max() <= 4
    assert np.abs(found[:, 128] - (255 - 128)).max() > 5  # what the inks would give without one


def test_transparency_keeps_its_place_and_its_background(tmp_path, gradient):
    alpha = np.where(np.arange(140) < 70, 0, 255).astype(np.uint8)
    rgba = np.dstack([gradient, np.broadcast_to(alpha, (150, 140))])
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=rgb_profile(P3))
    found = read_image(tmp_path / "a.png").astype(float)
    np.testing.assert_array_equal(found[:, :70], np.broadcast_to(BACKGROUND, (150, 70, 3)))
    wanted = encode(decode(gradient) @ P3_TO_SRGB.T)[:, 70:]
    assert np.abs(found[:, 70:] - wanted).max() <= 2


@pytest.mark.parametrize("broken", ["cut", "noise", "other"])
def test_a_broken_profile_is_a_note(tmp_path, gradient, broken):
    content = {
        "cut": rgb_profile(P3)[:200],
        "noise": bytes(range(256)) * 2,
        "other": cmyk_profile(),
    }[broken]
    said = []
    Image.fromarray(gradient).save(tmp_path / "a.png", icc_profile=content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", said.append), gradient)
    assert len(said) == 1
    assert "profile" in said[0]
    assert "\n" not in said[0]
    read_image(tmp_path / "a.png")  # nobody need listen


def test_a_phones_portrait_is_pasted_back_in_its_true_colours(tmp_path):
    """Written in Display P3 and pasted back: outside of the face it is the sRGB one."""
    original = np.asarray(Image.open(PORTRAIT).convert("RGB"))
    wide = encode(decode(original) @ np.linalg.inv(P3_TO_SRGB).T).round().astype(np.uint8)
    assert np.abs(wide.astype(int) - original).max() > 15
    Image.fromarray(wide).save(tmp_path / "a.png", icc_profile=rgb_profile(P3))
    portrait = load_portrait(tmp_path / "a.png", Picture(paste_back=True), 256, Reporter("quiet"))
    wanted = encode(decode(wide) @ P3_TO_SRGB.T)
    assert np.abs(portrait.photo - wanted).max() <= 1
    result = PasteBack(portrait.photo, portrait.crop)(portrait.crop.image)
    assert np.abs(result - wanted).mean() < 1.5  # the face was sampled twice, no more
    assert np.abs(wide - wanted).mean() > 2

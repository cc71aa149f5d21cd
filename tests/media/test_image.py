"""read_image against Pillow's own transposition and plain arithmetic; every user mistake."""

import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from vasa_jax.errors import UserError
from vasa_jax.media.image import BACKGROUND, read_image, write_image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_formats_keep_every_pixel(tmp_path, gradient, suffix):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(gradient).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, gradient)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_matches_pillow(tmp_path, gradient, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"image{suffix}"
    Image.fromarray(gradient).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)


def test_orientation_six_turns_clockwise(tmp_path, gradient):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(gradient, -1))


def test_alpha_is_laid_over_the_background(tmp_path, gradient):
    alpha = np.broadcast_to(np.linspace(0, 255, 140).astype(np.uint8), (150, 140))
    Image.fromarray(np.dstack([gradient, alpha])).save(tmp_path / "a.png")
    weight = alpha[:, :, None] / 255.0
    expected = gradient * weight + np.array(BACKGROUND) * (1 - weight)
    assert np.abs(read_image(tmp_path / "a.png") - expected).max() <= 1.0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "LAB"])
def test_every_mode_becomes_rgb(tmp_path, gradient, mode):
    image = Image.fromarray(gradient)
    image = image.convert("L").convert(mode) if mode == "LA" else image.convert(mode)
    path = tmp_path / ("a.png" if mode == "P" else "a.tif")
    # Pillow 12 cannot read the uncompressed YCbCr that it writes; of others libtiff makes RGB.
    image.save(path, **({"compression": "tiff_lzw"} if mode == "YCbCr" else {}))
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_allclose(read_image(path), expected, atol=1 if mode == "YCbCr" else 0)


def test_cmyk_jpeg(tmp_path, gradient):
    Image.fromarray(gradient).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    error = np.abs(read_image(tmp_path / "a.jpg").astype(int) - gradient)
    assert error.mean() < 3


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (128, 128), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 64, 128))
    image.save(tmp_path / "a.png", transparency=0)
    pixels = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels[5, 5], [0, 0, 255])
    np.testing.assert_array_equal(pixels[5, 100], BACKGROUND)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_keeps_its_range(tmp_path, suffix):
    values = np.linspace(0, 65535, 128 * 128).astype(np.uint16).reshape(128, 128)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    pixels = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(pixels[..., 0], np.rint(values / 257.0).astype(np.uint8))
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize(
    ("scale", "kind"), [(1.0, "f4"), (255.0, "f4"), (255, "i4"), (65535, "i4")]
)
def test_float_and_int32_greys(tmp_path, scale, kind):
    unit = np.linspace(0, 1, 128 * 128).reshape(128, 128)
    values = (unit * scale).astype(kind)
    Image.fromarray(values).save(tmp_path / "a.tif")
    error = np.abs(read_image(tmp_path / "a.tif")[..., 0] - unit * 255)
    assert error.max() <= 1.0


def test_gif_gives_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (128, 130), "red"), Image.new("RGB", (128, 130), "blue")
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif")[60, 60], [255, 0, 0])


def test_broken_exif_does_not_lose_the_picture(tmp_path, gradient):
    Image.fromarray(gradient).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read_image(tmp_path / "a.jpg").shape == gradient.shape


def _cut(whole, part):
    data = whole.read_bytes()
    part.write_bytes(data[: len(data) * 2 // 3])


def _mistakes(folder, gradient):
    image = Image.fromarray(gradient)
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("not an image at all")
    image.resize((500, 127)).save(folder / "small.png")
    image.save(folder / "whole.png")
    _cut(folder / "whole.png", folder / "cut.png")
    image.save(folder / "whole.jpg")
    _cut(folder / "whole.jpg", folder / "cut.jpg")
    Image.new("1", (16_385, 200)).save(folder / "wide.png")
    Image.new("1", (16_000, 12_000)).save(folder / "bomb.png")
    return {
        "missing.png": "does not exist",
        "": "directory",
        "empty.png": "0 bytes",
        "text.png": "not an image",
        "small.png": "too small",
        "cut.png": "truncated",
        "cut.jpg": "truncated",
        "wide.png": "16384",
        "bomb.png": "large|megapixels",
    }


def test_mistakes_are_told_in_one_line(tmp_path, gradient):
    for name, reason in _mistakes(tmp_path, gradient).items():
        with pytest.raises(UserError, match=reason) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_write_image_round_trip_and_cleanliness(tmp_path, gradient):
    path = tmp_path / "new" / "folder" / "a.png"
    write_image(path, gradient)
    write_image(path, gradient)  # over itself
    np.testing.assert_array_equal(read_image(path), gradient)
    assert os.listdir(path.parent) == ["a.png"]
    write_image(tmp_path / "a.jpg", gradient)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - gradient).mean() < 1.5


def test_write_image_mistakes_leave_nothing(tmp_path, gradient):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.png").mkdir()
    for name in ("a.xyz", "noextension", "file/a.png", "folder.png"):
        with pytest.raises(UserError):
            write_image(tmp_path / name, gradient)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]

"""The cache of figures: by content, and nothing half written is read."""

import numpy as np
import pytest

from vasa_jax.errors import UserError
from vasa_jax.score.cache import Cache, Entry

ENTRY = Entry(
    values={"blinks": 3.25},
    reasons={"psnr": "no real video"},
    frames=75,
    found=0.5,
    features=[[1.5, 2.5]],
    mouth=[0.25, None],
    strip=np.full((16, 32, 3), (10, 200, 90), np.uint8),
)


def test_what_is_written_is_read(tmp_path):
    cache = Cache({"stills": 16}, tmp_path)
    assert cache.read("k") is None
    cache.write("k", ENTRY)
    found = cache.read("k")
    assert found._replace(strip=None) == ENTRY._replace(strip=None)
    np.testing.assert_allclose(found.strip.astype(int), ENTRY.strip, atol=4)


@pytest.mark.parametrize("broken", ["k.json", "k.jpg"])
def test_a_damaged_entry_is_measured_anew(tmp_path, broken):
    cache = Cache({}, tmp_path)
    cache.write("k", ENTRY)
    (tmp_path / broken).write_bytes(b"{")
    assert cache.read("k") is None
    (tmp_path / broken).unlink()
    assert cache.read("k") is None


def test_the_key_is_of_contents_and_options(tmp_path):
    for name, content in (("a", "1"), ("b", "2"), ("copy", "1")):
        (tmp_path / name).write_text(content)
    a, b, copy = (tmp_path / name for name in ("a", "b", "copy"))
    cache = Cache({"stills": 16}, tmp_path / "c")
    assert cache.key(a, None) == cache.key(copy, None)
    keys = {cache.key(a, None), cache.key(b, None), cache.key(a, b), cache.key(b, a)}
    keys.add(Cache({"stills": 8}, tmp_path / "c").key(a, None))
    assert len(keys) == 5
    with pytest.raises(UserError, match="cannot be read"):
        cache.key(tmp_path / "none", None)

"""The file of results: nothing else is overwritten."""

import pytest

from vasa_jax.benchmark.store import Store
from vasa_jax.errors import UserError

HERE, THERE = {"device": "here"}, {"device": "there"}


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99, "rows": []}', '{"format": 1}'])
def test_foreign_files_are_refused(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UserError, match="give another -o file"):
        Store(path, HERE)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written_is_found_out_first(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write results"):
        Store(tmp_path / "file" / "r.json", HERE)

"""Manifests as spreadsheets, editors and other systems save them."""

import pytest

from vasa_jax.errors import UserError
from vasa_jax.inference.table import read_table

NEEDED, OPTIONAL = ("image", "audio"), ("name", "gaze")
PLAIN = "image,audio,name\nä.png,b c.wav,x\n"


def _read(folder, data, note=None):
    path = folder / "rows.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return [tuple(row) for row in read_table(path, NEEDED, OPTIONAL, note)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_encodings(tmp_path, encoding):
    told: list[str] = []
    rows = _read(tmp_path, PLAIN.encode(encoding), told.append)
    assert rows == [(2, {"image": "ä.png", "audio": "b c.wav", "name": "x"}, None)]
    assert len(told) == (encoding == "cp1252")


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        "sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", ",\n"),  # a comma at the end of every line
        PLAIN.replace("image,audio,name", " Image ,AUDIO,Name"),
        "\n\n" + PLAIN + ",,\n\n",
        '"image", "audio", "name"\n"ä.png", "b c.wav", "x"\n',
    ],
)
def test_forms(tmp_path, text):
    cells = {"image": "ä.png", "audio": "b c.wav", "name": "x"}
    assert [row[1:] for row in _read(tmp_path, text)] == [(cells, None)]


def test_semicolons_leave_commas_to_the_cells(tmp_path):
    assert _read(tmp_path, "image;audio;gaze\na;b;10,5\n")[0][1]["gaze"] == "10,5"


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_cell_may_hold_what_unicode_takes_for_a_line(tmp_path, mark):
    rows = _read(tmp_path, f"image,audio\na{mark}b.png,c.wav\nd.png,e.wav\n")
    assert [row[1]["image"] for row in rows] == [f"a{mark}b.png", "d.png"]
    assert [row[0] for row in rows] == [2, 3]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("image,audio\nmy,photo.png,a.wav\nx.png,y.wav\n", 2, "'a.wav' stands under no column"),
        ("image,audio,\na.png,b.wav,c\nx.png,y.wav\n", 2, "'c' stands under no column"),
        ('image,audio\nx.png,y.wav\n"a.png,b.wav\nc.png,d.wav\n', 4, "double quote"),
    ],
)
def test_a_row_of_another_form_says_why(tmp_path, text, line, words):
    """The other rows are read."""
    errors = {row[0]: row[2] for row in _read(tmp_path, text)}
    assert words in errors.pop(line)
    assert list(errors.values()) == [None]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04 a workbook", "save it as CSV"),
        (b"\x89PNG\r\n\0\0\0\rIHDR" + bytes(range(256)), "not a text file"),
        (b"image,audio\n\x81\x8d.png,b.wav\n", "save it as UTF-8"),
        (PLAIN.encode("utf-16")[:-1], "save it as UTF-8"),
        ("image,audio,image\na,b,c\n", "stands twice"),
        ("image:audio\na:b\n", "semicolon"),
        ("image,audio\n" + "a" * 140_000 + ",b\n", "line 2 cannot be read"),
        ("image;audio;Naame\na;b;c\n", "unknown column 'Naame'; did you mean 'name'"),
        ("", "'image' is missing"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, data, words):
    with pytest.raises(UserError, match=words):
        _read(tmp_path, data)


def test_a_folder_or_nothing_is_no_table(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(UserError, match="cannot read the manifest"):
            read_table(path, NEEDED)

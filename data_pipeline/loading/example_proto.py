"""Reads single byte lists of a serialised tf.train.Example without copying the others.

A pair needs two of 250 images; parsing the whole message would copy each of them twice. Wire
format: protobuf.dev/programming-guides/encoding; messages: Example
{features = 1}, Features {feature = 1, a map}, Feature {bytes_list = 1}, BytesList {value = 1}.
"""

from collections.abc import Container, Iterator

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def byte_lists(record: bytes | memoryview, names: Container[str]) -> dict[str, list[memoryview]]:
    """The values of each named feature that is a list of byte strings, as views of the record; a
    feature that is missing, or of numbers, is left out. Raises ValueError for broken records."""
    found = {}
    for features in _fields(memoryview(record), 1):
        for entry in _fields(features, 1):
            name = bytes(next(_fields(entry, 1), memoryview(b""))).decode()
            if name not in names:
                continue
            for feature in _fields(entry, 2):
                for values in _fields(feature, 1):
                    found[name] = list(_fields(values, 1))
    return found


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields of this number."""
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _LENGTH:
            size, place = _varint(message, place)
            if place + size > end:
                raise ValueError("a record ends in the middle of a field")
            if number == wanted:
                yield message[place : place + size]
            place += size
        elif kind == _VARINT:
            _, place = _varint(message, place)
        elif kind in (_EIGHT, _FOUR):
            place += 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"a record holds a field of the unknown kind {kind}")
    if place != end:
        raise ValueError("a record ends in the middle of a field")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("a record ends in the middle of a number")
        byte = message[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
        shift += 7

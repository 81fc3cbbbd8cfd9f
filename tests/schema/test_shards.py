import json
import struct

import pytest

from fakes_shards import some_key, some_value, write_shard
from recipe_schema.shards import MAX_HEADER, Part, ShardError, Value, pack, read_shard


def test_a_header_says_where_each_value_stands(tmp_path):
    path = write_shard(tmp_path, "text", 1, 2, 3)

    shard = read_shard(path)

    content = path.read_bytes()
    assert (shard.kind, shard.bytes) == ("text", len(content))
    assert {place.key for place in shard.places} == {some_key(number) for number in (1, 2, 3)}
    for place in shard.places:
        value = next(some_value(number) for number in (1, 2, 3) if some_key(number) == place.key)
        assert (place.kind, place.shard, place.facts) == ("text", path.stem, value.facts)
        assert [part.name for part in place.parts] == ["x", "flag"], "wider types first"
        stored = content[place.start : place.start + place.bytes]
        assert stored == value.parts[1][1] + value.parts[0][1]
        assert place.bytes == value.bytes == 11


def test_the_order_of_values_does_not_matter_and_their_facts_do():
    one, two = some_value(1), some_value(2)

    assert pack("text", [one, two]) == pack("text", [two, one])
    assert pack("text", [one]) != pack("masks", [one])
    assert pack("text", [one])[0] != pack("text", [some_value(1, sha256="other")])[0]


def test_tensors_begin_at_multiples_of_their_size_where_types_allow_it(tmp_path):
    def value(number, dtype, width, count):
        part = Part(name="x", dtype=dtype, shape=(count,), bytes=width * count)
        return Value(key=some_key(number), facts={}, parts=[(part, bytes(width * count))])

    name, content = pack(
        "text", [value(1, "U8", 1, 3), value(2, "F32", 4, 1), value(3, "BF16", 2, 3), value(4, "F32", 4, 0)]
    )
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(content)

    widths = {"U8": 1, "BF16": 2, "F32": 4}
    assert all(place.start % widths[place.parts[0].dtype] == 0 for place in read_shard(path).places)
    assert sorted(place.bytes for place in read_shard(path).places) == [0, 3, 4, 6]


def of_header(path, header):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


ENTRY = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": {}},
        {"__metadata__": {"kind": "text", some_key(1): "{}"}},
        {"__metadata__": {"kind": "text", "format": "{}"}, "format/x": ENTRY},
        {"__metadata__": {"kind": "text"}, f"{some_key(1)}/x": ENTRY},
        {"__metadata__": {"kind": "text", some_key(1): "{"}, f"{some_key(1)}/x": ENTRY},
        {"__metadata__": {"kind": "text", some_key(1): "[]"}, f"{some_key(1)}/x": ENTRY},
        {"__metadata__": {"kind": "text", some_key(1): "{}"}, f"{some_key(1)}/x": {}},
        {
            "__metadata__": {"kind": "text", some_key(1): "{}"},
            f"{some_key(1)}/x": ENTRY,
            f"{some_key(1)}/y": {**ENTRY, "data_offsets": [2, 3]},
        },
    ],
)
def test_another_header_is_refused(tmp_path, header):
    with pytest.raises(ShardError, match="its header is not that of a shard"):
        read_shard(of_header(tmp_path / "x.safetensors", header))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", struct.pack("<Q", MAX_HEADER + 1), b"\x09" + b"\x00" * 7 + b"{", b"\x02" + b"\x00" * 7 + b"[]"],
)
def test_what_has_no_header_is_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)

    with pytest.raises(ShardError, match="its header can't be read"):
        read_shard(path)


def test_a_shard_of_nothing_has_a_size(tmp_path):
    path = of_header(tmp_path / "x.safetensors", {"__metadata__": {"kind": "text"}})

    assert read_shard(path).bytes == path.stat().st_size

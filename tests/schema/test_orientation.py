import struct

import pytest

from recipe_schema.orientation import UPRIGHT, orientation
from recipe_schema.video import picture_format


def exif(value, order="<", *, tag=0x0112, kind=3, count=2):
    """TIFF data of a directory with one entry before that of the orientation."""
    mark = {"<": b"II", ">": b"MM"}[order]
    entries = [(0x0100, 3, 7), (tag, kind, value)]
    body = b"".join(struct.pack(f"{order}HHIHH", t, k, 1, v, 0) for t, k, v in entries)
    return mark + struct.pack(f"{order}HIH", 42, 8, count) + body


def jpeg(data, *before):
    segments = [*before, (0xE1, b"Exif\0\0" + data)]
    written = b"".join(b"\xff" + bytes([m]) + struct.pack(">H", len(c) + 2) + c for m, c in segments)
    return b"\xff\xd8" + written + b"\xff\xda\0\x02" + b"rows\xff\xd9"


def png(data):
    chunks = [(b"IHDR", b"x" * 13), (b"eXIf", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(c)) + name + c + b"crc!" for name, c in chunks)


def webp(data, prefix=b""):
    chunks = [(b"VP8X", b"x" * 9 + b"\0"), (b"VP8 ", b"odd" + b"\0"), (b"EXIF", prefix + data)]
    body = b"".join(
        name + struct.pack("<I", len(c) if name != b"VP8 " else 3) + c + b"\0" * (len(c) % 2) for name, c in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def stated(tmp_path, content):
    path = tmp_path / "picture"
    path.write_bytes(content)
    return orientation(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_of_each_kind_of_file_is_read(tmp_path, value, order):
    data = exif(value, order)

    assert stated(tmp_path, jpeg(data, (0xE0, b"JFIF"), (0xE1, b"http://ns.adobe.com/xap/1.0/"))) == value
    assert stated(tmp_path, png(data)) == value
    assert stated(tmp_path, webp(data)) == value
    assert stated(tmp_path, webp(data, b"Exif\0\0")) == value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe1",
        b"\xff\xd8\xff\xda\0\x02rows",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x04\0\0\0WEBP",
        jpeg(b""),
        jpeg(b"XX nothing"),
        jpeg(exif(6)[:14]),
        jpeg(exif(6, count=1)),
        jpeg(exif(9)),
        jpeg(exif(0)),
        jpeg(exif(6, kind=4)),
        jpeg(exif(6, tag=0x0113)),
        b"GIF89a, which is no picture here",
    ],
)
def test_what_states_none_is_upright(tmp_path, content):
    assert stated(tmp_path, content) == UPRIGHT


def test_the_format_is_told_by_the_first_bytes(tmp_path):
    path = tmp_path / "picture.jpg"
    for content, name in ((jpeg(b""), "jpeg_pipe"), (png(b""), "png_pipe"), (webp(b""), "webp_pipe")):
        path.write_bytes(content)
        assert picture_format(path) == name
    path.write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match="no JPEG, PNG or WebP"):
        picture_format(path)

"""Files that are something else than they seem, or hold more than one picture: their true name, or the picture that is meant."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fruitpipe.pictures import bounds, formats
from fruitpipe.pictures.decoding import BadImage, decode
from tests.encodings import ARITHMETIC, COLOUR, FILES, JPEG, encoded, jpeg_frame, png
from tests.tiffs import directory, tiff

SMALL = COLOUR.resize((40, 30))
TINY = COLOUR.rotate(90).resize((16, 12))


def refusal(body):
    with pytest.raises(BadImage) as caught:
        decode(body)
    return caught.value


def container(major, *others):
    box = b"ftyp" + major + bytes(4) + b"".join(others)
    return struct.pack(">I", len(box) + 4) + box + bytes(40)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (jpeg_frame(0xC1, 12), "12-bit JPEG"),
        (jpeg_frame(0xC3, 16), "16-bit lossless JPEG"),
        (jpeg_frame(0xC3, 12), "12-bit lossless JPEG"),
        (jpeg_frame(0xC5, 8), "hierarchical JPEG"),
        (jpeg_frame(0xF7, 8), "JPEG-LS"),
        (encoded(COLOUR, "JPEG2000", no_jp2=True), "JPEG 2000"),
        (encoded(COLOUR, "JPEG2000"), "JPEG 2000"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (container(b"mif1", b"mif1", b"vvic"), "HEIF with VVC"),
        (container(b"j2ki", b"mif1"), "HEIF with JPEG 2000"),
        (container(b"isom", b"iso2", b"mp41"), "MP4 video"),
        (container(b"qt  "), "QuickTime video"),
        (b"\0\0\0\x08wide" + bytes(40), "QuickTime video"),
        (container(b"crx "), "CR3 (Canon raw)"),
        (b"FUJIFILMCCD-RAW " + bytes(40), "RAF (Fujifilm raw)"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "CR2 (Canon raw)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_format_that_is_not_read_is_called_by_its_name(body, name):
    bad = refusal(body)
    assert bad.reason == "unsupported-format"
    assert f"in the format {name};" in bad.message


@pytest.mark.parametrize("before", [b"\n", b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_bytes_before_a_picture_make_it_none_and_the_message_says_where_it_begins(name, before):
    bad = refusal(before + FILES[name])
    assert bad.reason == "not-an-image"
    assert f"one begins at byte {len(before)}: remove what stands before it" in bad.message


@pytest.mark.parametrize("comment", [0, 5_100, 5_200, 5_300, 40_000])
def test_an_arithmetic_jpeg_gives_the_same_vector_whatever_its_size(comment):
    """Where Pillow hands it over in blocks of 64 KiB, libjpeg cannot wait for the next one in the middle of a picture."""
    comments = b"".join(b"\xff\xfe" + struct.pack(">H", length + 2) + bytes(length) for length in (30_000, 30_000, comment))
    plain = decode(ARITHMETIC)
    assert (plain.width, plain.height) == (24, 24)
    np.testing.assert_array_equal(decode(ARITHMETIC[:2] + comments + ARITHMETIC[2:]).pixels, plain.pixels)
    close = decode(encoded(COLOUR.resize((24, 24)), "JPEG", quality=75)).pixels
    np.testing.assert_array_equal(plain.pixels, close)


LONG = b"a text that nobody looks at " * 50_000
PACKED = zlib.compress(LONG)
PROFILE_NAME = b"a profile\0\0"


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"Comment\0\0" + PACKED),
        (b"iTXt", b"Comment\0\1\0\0\0" + PACKED),
        (b"iCCP", PROFILE_NAME + PACKED),
        (b"tEXt", b"Comment\0" + bytes(40_000_000)),
    ],
    ids=lambda chunk: chunk[0].decode(),
)
@pytest.mark.parametrize("times", [1, 3])
def test_a_png_whose_text_or_profile_is_too_large_is_the_picture_without_it(chunk, times):
    rows = b"\0" + bytes(range(6))
    if chunk[0] == b"iCCP" and times > 1:
        times = 1
    np.testing.assert_array_equal(decode(png(2, 1, 8, 2, rows, *[chunk] * times)).pixels, decode(png(2, 1, 8, 2, rows)).pixels)


def test_a_png_whose_text_is_of_ordinary_size_keeps_it():
    """As XMP in it may say how the picture is turned."""
    turned = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    for data in (b"\0\0\0\0" + turned, b"\1\0\0\0" + zlib.compress(turned)):
        body = png(2, 1, 8, 2, b"\0" + bytes(6), (b"iTXt", b"XML:com.adobe.xmp\0" + data), (b"zTXt", b"Comment\0\0" + PACKED))
        picture = decode(body)
        assert (picture.width, picture.height) == (1, 2)


def expected(image):
    return decode(encoded(image)).pixels


REDUCED, DNG, MOSAIC = (254, 4, [1]), (50706, 1, [1, 4, 0, 0]), (262, 3, [32803])


@pytest.mark.parametrize("hung", [False, True], ids=["in a chain", "below it"])
def test_of_a_tiff_that_begins_with_a_thumbnail_the_largest_full_picture_is_decoded(hung):
    thumbnail, mask = directory(TINY, REDUCED), directory(COLOUR.rotate(180), (254, 4, [4]))
    full, smaller = directory(SMALL), directory(TINY.rotate(180))
    body = tiff(thumbnail, below=(smaller, mask, full)) if hung else tiff(thumbnail, smaller, mask, full)
    picture = decode(body)
    assert (picture.width, picture.height) == SMALL.size
    np.testing.assert_array_equal(picture.pixels, expected(SMALL))


def test_the_first_page_of_a_tiff_is_decoded_whatever_follows():
    for kind in ((254, 4, [0]), (254, 4, [2]), (255, 3, [1])):
        np.testing.assert_array_equal(decode(tiff(directory(TINY, kind), directory(SMALL))).pixels, expected(TINY))


def test_a_thumbnail_that_is_alone_in_its_tiff_is_the_picture():
    np.testing.assert_array_equal(decode(tiff(directory(TINY, REDUCED))).pixels, expected(TINY))


def test_directories_that_lead_in_a_circle_are_each_looked_at_once():
    body = bytearray(tiff(directory(TINY, REDUCED), directory(SMALL)))
    (first,) = struct.unpack_from("<I", body, 4)
    second = bytes(body).index(struct.pack("<H", 9), first + 2)  # it has a field less
    struct.pack_into("<I", body, second + 2 + 12 * 9, first)
    np.testing.assert_array_equal(decode(bytes(body)).pixels, expected(SMALL))


def test_a_full_picture_that_is_cut_makes_its_tiff_truncated():
    body = tiff(directory(TINY, REDUCED), directory(SMALL))
    at = body.index(SMALL.tobytes()[:60])
    moved = body.replace(struct.pack("<I", at), struct.pack("<I", len(body) - 50))
    assert refusal(moved).reason == "truncated"


@pytest.mark.parametrize(
    ("maker", "fields", "name"),
    [
        (b"NIKON CORPORATION\0", (), "NEF (Nikon raw)"),
        (b"SONY\0", (), "ARW (Sony raw)"),
        (b"Nobody\0", (), "camera raw"),
        (b"Nobody\0", (DNG,), "DNG (camera raw)"),
    ],
)
def test_a_cameras_raw_file_is_refused_by_name_and_its_thumbnail_is_no_picture_of_it(maker, fields, name):
    body = tiff(directory(TINY, REDUCED, (271, 2, maker), *fields), below=(directory(SMALL, MOSAIC),))
    bad = refusal(body)
    assert (bad.reason, f"in the format {name};" in bad.message) == ("unsupported-format", True)


@pytest.mark.parametrize(("kind", "value"), [(1, bytes(99)), (2, b"a profile\0"), (3, [7, 8, 9]), (4, [7]), (5, bytes(8))])
def test_a_colour_profile_of_any_type_of_field_is_none(kind, value):
    np.testing.assert_array_equal(decode(tiff(directory(SMALL, (34675, kind, value)))).pixels, expected(SMALL))


def test_a_picture_of_a_telephone_of_64_megapixels_is_within_the_bound():
    assert bounds.MAX_PIXELS >= 9248 * 6936
    with pytest.raises(BadImage, match="8193 x 8192 = 67117056 pixels, at most 67108864"):
        decode(encoded(Image.new("1", (8193, 8192))))


def scans(count):
    """A JPEG that says of itself that it has more scans: their headers alone, which hold no pixels."""
    at = JPEG.index(b"\xff\xda")
    length = int.from_bytes(JPEG[at + 2 : at + 4])
    return JPEG[:at] + JPEG[at : at + 2 + length] * (count - 1) + JPEG[at:]


@pytest.mark.parametrize(
    ("bound", "least", "body", "what"),
    [
        ("MAX_SCANNED_PIXELS", 65_536 * 2, scans(3), "196608 pixels in 3 scans, at most 131072"),
        ("MAX_CHUNKS", 2, FILES["png"], "3 chunks, at most 2"),
        ("MAX_BLOCKS", 4, FILES["gif"], "5 blocks of data, at most 4"),
        ("MAX_PIECES", 0, FILES["tiff"], "1 strips or tiles, at most 0"),
        ("MAX_PIXELS", 255, tiff(directory(SMALL, (322, 3, [16]), (323, 4, [16]))), "256 pixels in a tile, at most 255"),
    ],
)
def test_what_asks_for_too_much_work_is_refused_before_it_is_decoded(monkeypatch, bound, least, body, what):
    monkeypatch.setattr(bounds, bound, least)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    bad = refusal(body)
    assert bad.reason == "too-slow"
    assert what in bad.message


def test_a_bmp_of_runs_is_bounded_by_its_bytes(monkeypatch):
    body = bytearray(encoded(SMALL.quantize(9), "BMP"))
    body[30] = 1
    monkeypatch.setattr(bounds, "MAX_RUN_BYTES", 100)
    assert "bytes of runs, at most 100" in refusal(bytes(body)).message


@pytest.mark.parametrize("name", FILES)
def test_the_bounds_are_far_from_what_programs_write(name):
    """A hundredth of each would do."""
    for bound in ("MAX_SCANNED_PIXELS", "MAX_CHUNKS", "MAX_BLOCKS", "MAX_PIECES", "MAX_RUN_BYTES"):
        with pytest.MonkeyPatch.context() as lowered:
            lowered.setattr(bounds, bound, getattr(bounds, bound) // 100)
            assert bounds.too_much(FILES[name]) is None


def test_a_picture_that_is_whole_is_no_foreign_format():
    assert {name: formats.foreign_format(body) for name, body in FILES.items()} == dict.fromkeys(FILES)
    assert Image.open(io.BytesIO(ARITHMETIC)).format == "JPEG"

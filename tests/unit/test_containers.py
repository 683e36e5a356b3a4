"""AVIF and HEIC: what phones write."""

import base64
import io
import struct
from datetime import UTC, datetime

import duckdb
import numpy as np
import pytest
from PIL import Image, ImageCms

from fruitpipe.pictures import codecs, thumbnails, variants
from fruitpipe.pictures.decoding import BadImage, decode
from fruitpipe.table.lookup import Known
from tests.encodings import COLOUR, encoded
from tests.heics import HEIC, SEEN, TILED, half_transparent, heic, turned
from tests.odd_pictures import TURNS


def avif(image=SEEN, **options):
    return encoded(image, "AVIF", quality=95, subsampling="4:4:4", **options)


FILES = {"avif": avif(), **{f"heic {name}": body for name, body in HEIC.items()}}


def levels(body):
    return (decode(body).pixels + 1) * 127.5


def expected(image):
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), np.float32)


@pytest.mark.parametrize("name", [name for name in FILES if "alpha" not in name])
def test_a_phones_picture_is_what_was_put_in(name):
    picture = decode(FILES[name])
    assert (picture.width, picture.height) == (60, 40)
    assert np.abs(levels(FILES[name]) - expected(SEEN)).mean() < 2.5


@pytest.mark.parametrize("orientation", TURNS)
def test_an_avif_that_is_turned_stands_as_a_person_sees_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = avif(SEEN if TURNS[orientation] is None else SEEN.transpose(TURNS[orientation]), exif=exif)
    assert (decode(body).width, decode(body).height) == (60, 40)
    assert np.abs(levels(body) - expected(SEEN)).mean() < 2.5


@pytest.mark.parametrize("orientation", TURNS)
def test_a_heic_that_is_turned_stands_as_a_person_sees_it(orientation):
    body = heic(turned(SEEN, orientation))
    assert (decode(body).width, decode(body).height) == (60, 40)
    assert np.abs(levels(body) - expected(SEEN)).mean() < 2.5


def test_a_heic_in_tiles_as_iphones_write_it_is_one_picture():
    assert b"grid" in TILED
    assert (decode(TILED).width, decode(TILED).height) == (200, 120)
    assert np.abs(levels(TILED) - expected(COLOUR.resize((200, 120), Image.Resampling.BICUBIC))).mean() < 2.5


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_what_is_transparent_is_white(kind):
    found = levels(avif(half_transparent(SEEN)) if kind == "avif" else HEIC["alpha"])
    assert found[:, :100].min() > 250
    assert np.abs(found[:, 124:] - expected(SEEN)[:, 124:]).mean() < 2.5


def test_a_profile_in_an_avif_is_applied():
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"rXYZ", b"wXYZ")
    swapped = lab_like.replace(b"bXYZ", b"rXYZ").replace(b"wXYZ", b"bXYZ").replace(b"\0s\0R\0G\0B", b"\0x\0R\0G\0B")
    red = Image.new("RGB", (40, 40), "red")
    np.testing.assert_allclose(levels(avif(red, icc_profile=swapped))[112, 112], [0, 0, 255], atol=6)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_anywhere_is_truncated(name):
    body = FILES[name]
    for end in sorted({6, 8, 11, 15, 16, 20, 40, len(body) - 1, *range(50, len(body), len(body) // 12)}):
        with pytest.raises(BadImage) as caught:
            decode(body[:end])
        assert caught.value.reason == "truncated", end
        assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("more", [bytes(7), b"bytes behind the end", struct.pack(">I", 16) + b"free" + bytes(8)], ids=len)
def test_bytes_after_the_end_change_nothing(name, more):
    np.testing.assert_array_equal(levels(FILES[name] + more), levels(FILES[name]))


@pytest.mark.parametrize("name", ["avif", "heic plain"])
def test_a_damaged_file_is_none_and_its_message_is_one_line(name):
    body = bytearray(FILES[name])
    place = body.index(b"hdlr")
    body[place - 4 : place + 200] = bytes(204)
    with pytest.raises(BadImage) as caught:
        decode(bytes(body))
    assert caught.value.reason == "not-an-image"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_gives_a_picture_or_a_reason(name):
    rng = np.random.default_rng(7)
    for _ in range(60):
        body = bytearray(FILES[name])
        body[rng.integers(len(body))] ^= 1 << rng.integers(8)
        try:
            assert decode(bytes(body)).pixels.shape == (224, 224, 3)
        except BadImage as bad:
            assert bad.reason in {"not-an-image", "truncated", "unsupported-format", "too-many-pixels"}  # noqa: PT017 - either is right


def test_an_avif_of_many_pictures_gives_its_first():
    body = avif(SEEN, save_all=True, append_images=[SEEN.rotate(180)])
    assert np.abs(levels(body) - expected(SEEN)).mean() < 2.5


@pytest.mark.parametrize("name", ["avif", "heic turned"])
def test_the_reports_small_picture_stands_as_the_picture_does(name):
    uri = thumbnails.thumbnail(FILES[name])
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (60, 40)


def test_a_decoder_takes_no_second_core():
    with Image.open(io.BytesIO(avif())) as image:
        image.load()
    assert codecs.AvifImagePlugin.DEFAULT_MAX_THREADS == 1


@pytest.fixture
def decoders(monkeypatch):
    """Has it looked for again which decoders are installed, now and after the test."""
    codecs.decoder.cache_clear()
    yield monkeypatch
    codecs.decoder.cache_clear()


@pytest.fixture
def without_heic(decoders):
    """As where pillow-heif is not installed."""
    decoders.setattr(codecs, "find_spec", {"pillow_heif": None}.__getitem__)


MESSAGE = (
    "HEIC: needs pillow-heif, which is not installed here: pip install 'fruitpipe[heic]' on every node; "
    "then run `fruitpipe errors --root ROOT --reason unsupported-format --retry`"
)


@pytest.mark.usefixtures("without_heic")
def test_a_heic_whose_decoder_is_not_installed_says_what_to_install_and_comes_in_with_a_retry():
    with pytest.raises(BadImage) as caught:
        decode(HEIC["plain"])
    assert (caught.value.reason, caught.value.message) == ("unsupported-format", MESSAGE)
    row = Known("a.heic", "etag", "sha", "f", datetime.now(UTC), error=caught.value.reason)
    assert row.worth_another_look(50_000_000)  # an event, as a retry writes one, has the same bytes decoded once more
    assert decode(avif()).width == 60


@pytest.mark.usefixtures("without_heic")
def test_rows_of_heic_pictures_stay_where_no_decoder_could_make_them_again():
    current = variants.Current("f")
    assert "heif" not in current.variants
    for extractor, is_made in (("f-heif-1.0.0", True), ("f-avif-0.0.1", False), ("g-heif-1.0.0", False)):
        assert current.made(extractor, 100, 100) is is_made
        row = f"SELECT {current.sql()} FROM (SELECT '{extractor}' AS extractor, 100 AS width, 100 AS height)"
        assert (duckdb.sql(row).fetchall() == [("f",)]) is is_made


def test_an_avif_that_this_pillow_cannot_decode_says_so(decoders):
    decoders.setattr(codecs.features, "version", {"avif": None}.__getitem__)
    with pytest.raises(BadImage, match="AVIF: needs a Pillow that was built with libavif"):
        decode(FILES["avif"])

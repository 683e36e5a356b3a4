"""Bytes are decoded to pictures as viewers show them."""

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from fruitpipe.pictures import colours, decoding
from fruitpipe.pictures.decoding import BadImage, decode
from tests.encodings import COLOUR, FILES, JPEG, encoded, png
from tests.odd_pictures import TURNS


def expected(image):
    """The notebook's preprocessing by hand."""
    small = image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    return np.asarray(small, np.float32) / np.float32(127.5) - np.float32(1)


def test_a_jpeg_is_decoded_exactly_as_the_notebook_did():
    picture = decode(JPEG)
    np.testing.assert_array_equal(picture.pixels, expected(COLOUR))
    assert (picture.pixels.shape, picture.pixels.dtype, picture.width, picture.height) == ((224, 224, 3), np.float32, 100, 100)


@pytest.mark.parametrize("name", FILES)
def test_every_accepted_format_is_decoded_from_its_first_frame(name):
    np.testing.assert_array_equal(decode(FILES[name]).pixels, expected(Image.open(io.BytesIO(FILES[name]))))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_a_picture_of_any_shape_is_stretched_to_the_extractors_size(size):
    picture = decode(encoded(Image.new("RGB", size, (10, 200, 30))))
    assert (picture.width, picture.height) == size
    np.testing.assert_allclose(picture.pixels[100, 100], np.array([10, 200, 30]) / 127.5 - 1, atol=1e-6)


def test_a_cmyk_jpeg_has_the_colours_that_a_person_sees():
    pixels = decode(encoded(Image.new("CMYK", (100, 100), (0, 255, 255, 0)), "JPEG")).pixels
    np.testing.assert_allclose(pixels[112, 112], [1, -1, -1], atol=0.03)


def test_an_ycck_jpeg_has_the_colours_that_a_person_sees():
    """As Photoshop writes them; made of a CMYK one that holds Y, Cb, Cr and K, with the mark that says so."""
    body = bytearray(encoded(Image.new("CMYK", (100, 100), (76, 84, 254, 0)), "JPEG"))
    body[body.index(b"Adobe") + 11] = 2
    np.testing.assert_allclose(decode(bytes(body)).pixels[112, 112], [1, -1, -1], atol=0.05)


def test_an_interlaced_png_has_the_pixels_of_the_plain_one():
    red, green, blue, white = b"\xff\0\0", b"\0\xff\0", b"\0\0\xff", b"\xff\xff\xff"
    plain = png(2, 2, 8, 2, b"\0" + red + green + b"\0" + blue + white)
    interlaced = png(2, 2, 8, 2, b"\0" + red + b"\0" + green + b"\0" + blue + white, interlaced=True)
    np.testing.assert_array_equal(decode(interlaced).pixels, decode(plain).pixels)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# A space whose red is sRGB's blue: the same profile with these two exchanged, under another name.
EXCHANGED = SRGB


for old, new in ((b"rXYZ", b"wXYZ"), (b"bXYZ", b"rXYZ"), (b"wXYZ", b"bXYZ"), (b"\0s\0R\0G\0B", b"\0x\0R\0G\0B")):
    EXCHANGED = EXCHANGED.replace(old, new)


RED = Image.new("RGB", (50, 50), "red")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_colours_are_what_the_embedded_profile_means_by_them(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode(encoded(RED, kind, icc_profile=EXCHANGED, **options)).pixels
    np.testing.assert_allclose(pixels[9, 9], [-1, -1, 1], atol=0.05)


@pytest.mark.parametrize("profile", [SRGB, b"no profile" * 30, EXCHANGED[:200], b"\xff" * 300], ids=len)
def test_the_usual_profile_and_one_that_does_not_parse_change_nothing(profile):
    plain = decode(encoded(RED, "JPEG")).pixels
    np.testing.assert_array_equal(decode(encoded(RED, "JPEG", icc_profile=profile)).pixels, plain)


def test_a_profile_as_large_as_a_picture_converts_its_colours_and_is_not_kept_for_the_next_one():
    colours._kept.cache_clear()
    large = EXCHANGED + bytes(2_000_000)
    for profile, kept in ((large, 0), (EXCHANGED, 1), (large, 1)):
        pixels = decode(encoded(RED, "TIFF", icc_profile=profile)).pixels
        np.testing.assert_allclose(pixels[9, 9], [-1, -1, 1], atol=0.05)
        assert colours._kept.cache_info().currsize == kept


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_turned_picture_gives_the_same_pixels_as_the_upright_one(kind, orientation):
    upright = COLOUR.resize((60, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if TURNS[orientation] is None else upright.transpose(TURNS[orientation])
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(encoded(stored, kind, exif=exif, **options))
    np.testing.assert_array_equal(picture.pixels, expected(upright))
    assert (picture.width, picture.height) == (60, 40)


def test_an_exif_block_that_does_not_parse_leaves_the_picture_as_it_is():
    np.testing.assert_array_equal(decode(encoded(COLOUR, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")).pixels, expected(COLOUR))


@pytest.mark.parametrize("tag", [(282, 2, 3, 0x313131), (65000, 16, 1, 8), (282, 5, 1, 9999), (34665, 4, 1, 60000)])
def test_an_odd_tag_beside_the_orientation_does_not_keep_a_picture_from_being_turned(tag):
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHII", *tag)
    picture = decode(encoded(COLOUR.resize((60, 40)), "JPEG", exif=exif + bytes(64)))
    assert (picture.width, picture.height) == (40, 60)


def test_a_transparent_16_bit_colour_is_white_in_a_turned_picture_too():
    colour, turned = b"\1\x20\2\x20\3\x20", b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 6, 0)
    for extra in ((), ((b"eXIf", turned),)):
        np.testing.assert_array_equal(decode(png(1, 1, 16, 2, b"\0" + colour, (b"tRNS", colour), *extra)).pixels, 1)


def grey_tiff(depth, pixels, *, black_is_zero=1, more=()):
    """An uncompressed TIFF of 2 x 1 pixels made by hand; `more` fields are (tag, type, value)."""
    sizes = [(256, 3, 2), (257, 3, 1), (258, 3, depth), (259, 3, 1), (262, 3, black_is_zero), (277, 3, 1), (278, 3, 1)]
    fields = sorted([*sizes, (273, 4, 8 + 2 + 12 * (9 + len(more)) + 4), (279, 4, len(pixels)), *more])
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4) + pixels


@pytest.mark.parametrize(
    ("depth", "pixels", "black_is_zero", "levels"),
    [
        (8, b"\xff\x40", 1, [255, 64]),
        (8, b"\xff\x40", 0, [0, 191]),
        (12, b"\xff\xf4\x00", 1, [255, 64]),
        (16, b"\xff\xff\x00\x40", 1, [255, 64]),
        (16, b"\xff\xff\x00\x40", 0, [0, 191]),
    ],
)
def test_grey_of_any_depth_is_as_light_as_it_is_meant(depth, pixels, black_is_zero, levels):
    twin = Image.fromarray(np.array([levels], np.uint8))
    np.testing.assert_array_equal(decode(grey_tiff(depth, pixels, black_is_zero=black_is_zero)).pixels, expected(twin))


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 6, 7, 8, 9, 11, 13, 99])
def test_a_field_of_any_type_leaves_a_tiff_whole(kind):
    assert decode(grey_tiff(8, b"\xff\x40", more=[(65000, kind, 0)])).width == 2


def test_16_bit_grey_is_scaled_to_8_bits():
    ramp = np.linspace(0, 65535, 10000).astype(np.uint16).reshape(100, 100)
    narrow = Image.fromarray((ramp >> 8).astype(np.uint8))
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode(encoded(Image.fromarray(ramp), kind)).pixels, expected(narrow))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_pixels_are_refused_by_name_and_never_white(mode):
    body = encoded(COLOUR.convert("L").convert(mode), "TIFF")
    with pytest.raises(BadImage, match="32-bit") as caught:
        decode(body)
    assert caught.value.reason == "unsupported-format"


def transparent():
    half = COLOUR.convert("RGBA")
    half.paste((200, 0, 0, 0), (0, 0, 50, 100))
    return half


PALETTE = COLOUR.quantize(8)


SEE_THROUGH = {
    "RGBA": encoded(transparent()),
    "RGBA WEBP": encoded(transparent(), "WEBP", lossless=True),
    "LA": encoded(transparent().convert("LA")),
    "palette of one transparent colour": encoded(Image.new("RGB", (9, 9), "red").quantize(2), transparency=0),
    "palette with alphas": png(1, 1, 8, 3, b"\0\0", (b"PLTE", b"\1\2\3"), (b"tRNS", b"\0")),
    "tRNS on grey": png(1, 1, 8, 0, b"\0\x40", (b"tRNS", b"\0\x40")),
    "tRNS on 4-bit grey": png(1, 1, 4, 0, b"\0\x70", (b"tRNS", b"\0\7")),
    "tRNS on 16-bit grey": png(1, 1, 16, 0, b"\0\x40\1", (b"tRNS", b"\x40\1")),
    "tRNS on 16-bit colour": png(1, 1, 16, 2, b"\0" + b"\x12\x34" * 3, (b"tRNS", b"\x12\x34" * 3)),
    "tRNS on colour": png(1, 1, 8, 2, b"\0\1\2\3", (b"tRNS", b"\0\1\0\2\0\3")),
    "GIF": encoded(Image.new("P", (9, 9), 2), "GIF", transparency=2),
}


@pytest.mark.parametrize("name", SEE_THROUGH)
def test_what_is_transparent_is_white(name):
    np.testing.assert_array_equal(decode(SEE_THROUGH[name]).pixels[:, :10], 1)


@pytest.mark.parametrize("image", [COLOUR.convert("1"), COLOUR.convert("L"), PALETTE], ids=lambda image: image.mode)
def test_bits_greys_and_palettes_are_converted_to_colour(image):
    np.testing.assert_array_equal(decode(encoded(image)).pixels, expected(image))


def test_a_lab_picture_is_converted_to_colour():
    lab = Image.merge("LAB", [Image.new("L", (9, 9), level) for level in (255, 128, 128)])
    np.testing.assert_allclose(decode(encoded(lab, "TIFF")).pixels, 1, atol=0.03)


def test_a_wrong_extension_is_no_matter_as_only_the_bytes_count():
    assert decode(FILES["png"]).width == 100


def test_odd_metadata_warns_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(encoded(COLOUR, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\x7f"))


def test_the_decoder_version_names_the_rules_and_the_libraries():
    version = decoding.decoder_version()
    assert decoding.VERSION in version
    assert Image.__version__ in version
    assert version == decoding.decoder_version()

"""Large JPEGs, decoded at a fraction of their size: against full decoding by Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from fruitpipe.extractor.featurise import Featuriser
from fruitpipe.extractor.inference import ModelFile, network_for
from fruitpipe.pictures import scaling
from fruitpipe.pictures.decoding import BadImage, decode
from fruitpipe.pictures.preprocessing import Preprocessing
from fruitpipe.settings import default_model
from tests.encodings import JPEG, encoded
from tests.odd_pictures import TURNS
from tests.unit.test_decoding import EXCHANGED

WIDE, HIGH = 1800, 1350


def photograph(width=WIDE, height=HIGH, seed=1):
    """A fruit, enlarged, with grain of all sizes, as a camera sees a surface, and its noise."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(Image.open(io.BytesIO(JPEG)).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    for cells in (40, 160, 640):
        grain = Image.fromarray(rng.standard_normal((cells * height // width, cells), np.float32))
        pixels = pixels + 6 * np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC))[..., np.newaxis]
    pixels += rng.standard_normal((height, width, 3), np.float32) * 3
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


PHOTOGRAPH = photograph()


def jpeg(image=PHOTOGRAPH, **options):
    return encoded(image, "JPEG", quality=90, **options)


def by_pillow(body):
    """Decoded in full, levels of 0 to 255."""
    small = Image.open(io.BytesIO(body)).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    return np.asarray(small, np.float64)


def levels(picture):
    return np.rint((picture.pixels.astype(np.float64) + 1) * 127.5)


def error(found, expected):
    return float(np.sqrt(np.mean((found - expected) ** 2)))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1343, 4000), 1),
        ((1344, 4000), 2),
        ((1920, 1080), 1),
        ((4000, 3000), 4),
        ((3000, 4000), 4),
        ((8000, 6000), 8),
        ((9248, 6936), 8),
        ((20000, 3000), 4),
    ],
)
def test_a_picture_is_scaled_as_far_as_three_pixels_are_left_for_one_of_the_extractors(size, expected):
    assert scaling.divisor(*size) == expected


@pytest.mark.parametrize(("size", "by"), [((1800, 1350), 2), ((1791, 1405), 2), ((2752, 2704), 4), ((2751, 2703), 4)])
def test_means_are_resampled_to_what_bicubic_makes_of_the_full_picture(size, by):
    """Against Pillow's own bicubic of the full picture; its bicubic of the means is further off."""
    full = photograph(*size)
    means = full.reduce(by)
    expected = np.asarray(full.resize((224, 224), Image.Resampling.BICUBIC), np.float64)
    ours = scaling.resample(means, size, (by, by), 224)
    assert (ours.shape, ours.dtype) == ((224, 224, 3), np.uint8)
    plain = np.asarray(means.resize((224, 224), Image.Resampling.BICUBIC), np.float64)
    assert error(ours, expected) < error(plain, expected)
    assert error(ours, expected) < 0.45  # levels; rounding alone is 0.3


@pytest.mark.parametrize("level", [0, 1, 127, 128, 255])
def test_a_flat_picture_stays_as_it_is(level):
    flat = Image.new("RGB", (1000, 750), (level, 255 - level, level))
    np.testing.assert_array_equal(scaling.resample(flat, (4000, 3000), (4, 4), 224), np.asarray(flat.resize((224, 224))))


@pytest.mark.parametrize(("length", "by"), [(1344, 2), (3000, 4), (4001, 4), (6000, 8), (65_000, 8)])
def test_sums_are_whole_numbers_that_a_float_holds_in_any_order(length, by):
    for group in scaling._groups(length, by, 224):
        np.testing.assert_array_equal(group.weights, np.rint(group.weights))
        assert 255 * np.abs(group.weights).sum(axis=1).max() < 2**24
        np.testing.assert_array_equal(group.weights.sum(axis=1), scaling.STEPS)


@pytest.mark.parametrize("size", [(1800, 1350), (2751, 2703), (5381, 5379)], ids=["half", "quarter", "eighth"])
def test_the_features_of_a_large_photograph_are_those_of_full_decoding(size):
    body = jpeg(photograph(*size), subsampling="4:2:0")
    extract = network_for(ModelFile.load(default_model()))
    scaled, full = (extract(decode(body, in_full=in_full).pixels).astype(np.float64) for in_full in (False, True))
    assert scaled @ full / np.linalg.norm(scaled) / np.linalg.norm(full) > 0.999
    assert (decode(body).width, decode(body).height) == size


def test_a_picture_below_the_bound_and_one_that_is_to_be_decoded_in_full_are_decoded_as_ever():
    below = jpeg(PHOTOGRAPH.resize((1800, 1343)))
    np.testing.assert_array_equal(levels(decode(below)), by_pillow(below))
    np.testing.assert_array_equal(levels(decode(jpeg(), in_full=True)), by_pillow(jpeg()))
    assert error(levels(decode(jpeg())), by_pillow(jpeg())) > 0


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_large_picture_in_another_format_is_decoded_in_full(kind):
    body = encoded(PHOTOGRAPH, kind)
    np.testing.assert_array_equal(levels(decode(body)), by_pillow(body))


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": "4:4:4"}, {"subsampling": "4:2:2"}], ids=str)
def test_a_large_jpeg_of_any_kind_is_close_to_full_decoding(options):
    body = jpeg(**options)
    assert error(levels(decode(body)), by_pillow(body)) < 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_are_converted_on_the_scaled_picture(mode):
    body = jpeg(PHOTOGRAPH.convert(mode))
    assert error(levels(decode(body)), by_pillow(body)) < 1


def test_colours_of_a_profile_are_converted_on_the_scaled_picture():
    large = PHOTOGRAPH.resize((3584, 2688), Image.Resampling.BICUBIC)
    body = jpeg(large, icc_profile=EXCHANGED)
    np.testing.assert_allclose(levels(decode(body)).mean((0, 1))[::-1], by_pillow(body).mean((0, 1)), atol=3)
    assert error(levels(decode(body)), levels(decode(body, in_full=True))) < 1


def test_a_picture_whose_colours_are_converted_keeps_twice_the_side():
    assert [scaling.divisor(*size, is_converted=True) for size in ((3000, 2687), (4000, 3000), (8000, 6000))] == [1, 2, 4]


@pytest.mark.parametrize("orientation", TURNS)
def test_a_large_turned_photograph_stands_as_a_person_sees_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = PHOTOGRAPH if TURNS[orientation] is None else PHOTOGRAPH.transpose(TURNS[orientation])
    picture = decode(jpeg(stored, exif=exif))
    assert (picture.width, picture.height) == (WIDE, HIGH)
    assert error(levels(picture), by_pillow(jpeg())) < 1.5


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("size", [(1800, 1350), (1791, 1349)], ids=["even", "odd"])
def test_a_large_jpeg_whose_pixels_end_before_its_end_is_truncated(size, share):
    body = jpeg(PHOTOGRAPH.resize(size))
    with pytest.raises(BadImage, match="truncated"):
        decode(body[: int(len(body) * share)] + b"\xff\xd9")


def test_a_large_jpeg_that_ends_in_mid_grey_is_whole():
    grey = PHOTOGRAPH.copy()
    grey.paste((128, 128, 128), (0, HIGH - 64, WIDE, HIGH))
    assert decode(jpeg(grey)).height == HIGH


def test_for_a_network_of_another_size_all_are_decoded_in_full():
    """So its rows of large pictures have no name, and are up to date without one."""
    other, body = Preprocessing(160, 224, (0.0,) * 3, (1.0,) * 3), jpeg()
    picture = decode(body, other)
    full = Image.open(io.BytesIO(body)).resize((224, 160), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(picture.pixels, np.asarray(full, np.float32))
    assert picture.variant == ""
    current = Featuriser(None, "f", 1, preprocessing=other).current
    assert (current.made("f", WIDE, HIGH), current.made("f-scaled-2", WIDE, HIGH)) == (True, False)
    assert current.variants["large"] == "full"  # as a version of such rows says, whatever their sizes


def test_another_network_of_our_size_gets_the_scaled_pictures_levels_in_its_own_way():
    other, body = Preprocessing(224, 224, (103.0, 116.0, 123.0), (58.0, 57.0, 57.5)), jpeg()
    picture = decode(body, other)
    np.testing.assert_allclose(picture.pixels * other.scale + other.mean, levels(decode(body)), atol=1e-3)
    assert picture.variant == "scaled-2"
    assert Featuriser(None, "f", 1, preprocessing=other).current.made("f-scaled-2", WIDE, HIGH)


def test_a_stereo_pair_is_decoded_from_its_first_picture():
    body = encoded(PHOTOGRAPH, "MPO", save_all=True, append_images=[PHOTOGRAPH.rotate(180)], quality=90)
    assert error(levels(decode(body)), by_pillow(body)) < 1

"""Every line of the table of docs/formats.md, with a file that is made here."""

import io
import re
import struct
from pathlib import Path

import pytest
from PIL import Image

from fruitpipe.pictures.decoding import BadImage, decode
from tests.encodings import ARITHMETIC, COLOUR, FILES, JPEG, encoded, jpeg_frame, png
from tests.heics import HEIC, TILED
from tests.tiffs import directory, tiff

DOCS = Path(__file__).parents[2] / "docs"
LINES = re.findall(r"^\| (?!file )(.+?) \| `?(.+?)`? \|", (DOCS / "formats.md").read_text(), re.MULTILINE)
LARGE = COLOUR.resize((1400, 1350))


def turned(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(COLOUR, kind, exif=exif)


def transparent(kind, **options):
    image = COLOUR.copy()
    image.putalpha(80)
    return encoded(image, kind, **options)


def container(brand):
    return struct.pack(">I", 16) + b"ftyp" + brand + bytes(44)


def mpo():
    return encoded(COLOUR, "MPO", save_all=True, append_images=[COLOUR.rotate(90)])


TINY, REDUCED = COLOUR.resize((16, 12)), (254, 4, [1])
RAW = (262, 3, [32803])
NEF, ARW = (
    tiff(directory(TINY, REDUCED, (271, 2, maker)), below=(directory(COLOUR, RAW),))
    for maker in (b"NIKON CORPORATION\0", b"SONY\0")
)
DNG = tiff(directory(TINY, REDUCED, (50706, 1, [1, 4, 0, 0])), below=(directory(COLOUR, RAW),))
MADE = {
    "JPEG, baseline": [JPEG],
    "JPEG, progressive": [FILES["progressive"]],
    "JPEG, arithmetic coding": [ARITHMETIC],
    "JPEG, grey": [encoded(COLOUR.convert("L"), "JPEG")],
    "JPEG, CMYK": [encoded(COLOUR.convert("CMYK"), "JPEG")],
    "JPEG with a colour profile": [encoded(COLOUR, "JPEG", icc_profile=b"no profile")],
    "JPEG, turned by EXIF": [turned("JPEG"), turned("PNG"), turned("AVIF")],
    "JPEG, large": [encoded(LARGE, "JPEG")],
    "JPEG with bytes after its end": [JPEG + bytes(9), JPEG + JPEG, JPEG + container(b"mp42"), JPEG + container(b"mp42")[:9]],
    "JPEG, stereo or multi-picture (MPO)": [mpo()],
    "JPEG without its end": [JPEG[:-2], encoded(LARGE, "JPEG")[:-2]],
    "JPEG whose pixels end early": [body[: len(body) // 2] + b"\xff\xd9" for body in (JPEG, encoded(LARGE, "JPEG"))],
    "JPEG, 12 bits": [jpeg_frame(0xC1, 12)],
    "JPEG, lossless of 16 bits": [jpeg_frame(0xC3, 16)],
    "JPEG, hierarchical": [jpeg_frame(0xC5, 8)],
    "JPEG-LS": [jpeg_frame(0xF7, 8)],
    "JPEG 2000": [encoded(COLOUR, "JPEG2000"), encoded(COLOUR, "JPEG2000", no_jp2=True)],
    "JPEG XL": [b"\xff\x0a" + bytes(40), b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)],
    "PNG": [FILES["png"]],
    "PNG, 16 bits": [png(1, 1, 16, 2, b"\0" + bytes(range(6)))],
    "PNG, transparent": [transparent("PNG"), transparent("WEBP"), transparent("AVIF")],
    "PNG, cut": [FILES["png"][:-4]],
    "WebP": [FILES["webp"]],
    "WebP, lossless": [FILES["lossless webp"]],
    "AVIF": [encoded(COLOUR, "AVIF")],
    "AVIF, cut": [encoded(COLOUR, "AVIF")[:-1]],
    "HEIC, 8 bits": [HEIC["plain"], HEIC["two"], TILED],
    "HEIC, 10 bits": [HEIC["10-bit"]],
    "HEIC, transparent": [HEIC["alpha"]],
    "HEIC, turned": [HEIC["turned"]],
    "HEIC, cut": [HEIC["plain"][:-1]],
    "HEIF with VVC": [container(b"vvic")],
    "GIF": [FILES["gif"], FILES["animated gif"]],
    "BMP": [FILES["bmp"]],
    "TIFF": [FILES["tiff"]],
    "TIFF, LZW": [FILES["lzw tiff"]],
    "TIFF whose first picture is a thumbnail": [tiff(directory(TINY, REDUCED), directory(COLOUR))],
    "DNG, CR2, NEF, ARW": [DNG, NEF, ARW, b"II*\0\x10\0\0\0CR\x02\0" + bytes(40)],
    "video, MP4 or QuickTime": [container(b"isom"), container(b"qt  ")],
    "PDF": [b"%PDF-1.7\n" + bytes(40)],
    "SVG": [b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
    "0 bytes": [b""],
    "text": [b"no picture but text, and enough of it"],
    "a picture behind other bytes": [b"\n" + JPEG],
    "more than 8192 x 8192 pixels": [encoded(Image.new("1", (8193, 8192)))],
}


def test_the_table_names_each_kind_of_file_that_is_made_here_and_no_other():
    assert [name for name, _ in LINES if not name.startswith("-")] == list(MADE)


@pytest.mark.parametrize(("name", "becomes"), [line for line in LINES if line[0] in MADE])
def test_a_file_becomes_what_the_table_says(name, becomes):
    for body in MADE[name]:
        if becomes == "features":
            assert decode(body).pixels.shape == (224, 224, 3)
        else:
            with pytest.raises(BadImage) as caught:
                decode(body)
            assert caught.value.reason == becomes


def test_a_stereo_picture_is_one_of_two():
    assert Image.open(io.BytesIO(mpo())).n_frames == 2

"""One drawn picture in many formats, and PNGs made by hand."""

import base64
import io
import struct
import zlib

from PIL import Image

from tests import pictures

JPEG = pictures.jpeg(3)


COLOUR = Image.open(io.BytesIO(JPEG)).convert("RGB")


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, depth, colour_type, rows, *extra, interlaced=False):
    """A PNG made by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


FILES = {
    "jpeg": JPEG,
    "progressive": encoded(COLOUR, "JPEG", progressive=True),
    "png": encoded(COLOUR),
    "gif": encoded(COLOUR, "GIF"),
    "animated gif": encoded(COLOUR, "GIF", save_all=True, append_images=[COLOUR.rotate(9)]),
    "webp": encoded(COLOUR, "WEBP"),
    "lossless webp": encoded(COLOUR, "WEBP", lossless=True),
    "bmp": encoded(COLOUR, "BMP"),
    "tiff": encoded(COLOUR, "TIFF"),
    "lzw tiff": encoded(COLOUR, "TIFF", compression="tiff_lzw"),
    "jpeg tiff": encoded(COLOUR, "TIFF", compression="jpeg"),
}


# The picture at 24 x 24 with arithmetic coding, which Pillow does not write: by `jpegtran -arithmetic` of libjpeg-turbo 2.1.5.
ARITHMETIC = base64.b85decode(
    b"|JeWF01!$>Nk#wx0RR9200961|JwjV00;&K2L=TQ2L}fU2?z=d6b%du3k(?&6Au&}8Xq1V8XO!TBrYc)A}k{u94I#_EHE)NG&CP4IXyTsJT5ad"
    b"GXL8ELjeg12@DGi7!3^=G9erxGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBW?k01*fP7yuXp0U`hb5di}c"
    b"0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#04K{mQLFy|h<UEv>7uzQpDWrjL((j6X%?ur;e8|2Bio<~ZguC6UL8Cp>{$+(d?uLBG1~bD@GixB"
    b"MB(4R=->3=or6C9K3bpc)CE~6IX1jMRviIvLAo&J3v$JWf4Zt`cY;TXK`F%TFP}|<Ma(Ig0q#0F_7*Ej@$n62HGETkl)-gX<SV^O-RG-G#Olsk"
    b"ng$s0>i#Ub&Gj1W1Gglu{kyF-y9t*DEdG54LGU#ylPkR2M1zBxunS}p+A3((xd-eggxqs;3ntjkFi;!p7DkZ5cU}$`6eM^o6M4$}+r<uuBUG#H"
    b"VXb`_++d@)hg_j{B|Uzq|Je"
)


def jpeg_frame(marker, bits):
    """The JPEG with another kind of frame in its header."""
    start = JPEG.index(b"\xff\xc0")
    return JPEG[: start + 1] + bytes([marker]) + JPEG[start + 2 : start + 4] + bytes([bits]) + JPEG[start + 5 :]

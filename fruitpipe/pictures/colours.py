"""Converts pixels of any mode to RGB as a viewer shows them: eight bits a channel, sRGB, transparency on white."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from fruitpipe.pictures.bad_image import BadImage

PNG_DEPTH = "fruitpipe.depth"  # in a picture's info: bits a channel in the file
TIFF_DEPTH, TIFF_MEANING = 258, 262  # tags: bits a channel; 0 where white is zero
GREY_BITS = range(9, 17)
DEEP_MODES = {"I": "32-bit integer", "F": "32-bit float"}
PROFILED_MODES = ("RGB", "CMYK", "L")
KEPT_PROFILE_BYTES = 1_000_000  # of a profile whose transform is kept for the next picture; usual ones have 0.5 to 600 kB


def as_seen(image: Image.Image) -> Image.Image:
    """The picture in mode RGB. Raises BadImage where the range of its pixels, or its palette, is not known."""
    if image.mode in DEEP_MODES:
        raise BadImage(
            "unsupported-format", f"{DEEP_MODES[image.mode]} pixels, whose white is not known; save it with 8 or 16 bits"
        )
    if image.mode == "P" and image.palette is None:
        raise BadImage("not-an-image", "damaged: its pixels are numbers of colours, and it has no palette")
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        image = _grey(image, transparent)
    elif image.format == "PNG" and isinstance(transparent, int | tuple):
        image.info["transparency"] = _in_8_bits(image, transparent)
    if image.has_transparency_data:
        coloured = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(coloured, mask=coloured)  # in place: alpha_composite holds two more pictures of that size
        return white
    return _in_srgb(image)


def _grey(image: Image.Image, transparent: object) -> Image.Image:
    """Grey of 12 or 16 bits scaled to 8, as Pillow does for colour; its own conversion of grey clips nearly all to white."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    levels = np.asarray(image)
    grey = (levels >> (_grey_bits(tags) - 8)).astype(np.uint8)
    if tags.get(TIFF_MEANING) == 0:  # Pillow inverts it at 8 bits, but not at 16
        grey = ~grey
    if isinstance(transparent, int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey)


def _grey_bits(tags: dict[int, Any]) -> int:
    """Bits a channel in the file, of pixels that Pillow holds in 16. Raises BadImage, as a file may have anything in that tag."""
    told = tags.get(TIFF_DEPTH, (16,))
    bits = told[0] if isinstance(told, tuple) and told else told
    if not isinstance(bits, int) or bits not in GREY_BITS:
        raise BadImage("not-an-image", f"damaged: {str(bits)[:20]} bits a channel")
    return bits


def _in_8_bits(image: Image.Image, colour: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """A PNG's transparent colour, which Pillow leaves at the file's depth, at the depth that it gave to the pixels."""
    depth = image.info.get(PNG_DEPTH, 8)
    if isinstance(colour, tuple):
        return tuple(value >> max(depth - 8, 0) for value in colour)
    return colour * 255 // (2**depth - 1) if image.mode == "L" else colour


def _in_srgb(image: Image.Image) -> Image.Image:
    """Colours converted by the embedded profile; as they are without one, or with one that does not parse."""
    if transform := _transform(image):
        return ImageCms.applyTransform(image, transform) or image
    return image if image.mode == "RGB" else image.convert("RGB")


def has_other_profile(image: Image.Image) -> bool:
    """Whether its colours are converted by a profile."""
    return _transform(image) is not None


def _transform(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    profile = image.info.get("icc_profile")
    return _to_srgb(profile, image.mode) if isinstance(profile, bytes) and image.mode in PROFILED_MODES else None


def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform by a profile, which may be as large as its file."""
    return (_kept if len(profile) <= KEPT_PROFILE_BYTES else _made)(profile, mode)


def _made(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


_kept = lru_cache(maxsize=16)(_made)

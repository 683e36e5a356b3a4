"""What decodes AVIF and HEIC, and what is to be installed where nothing does.

Pillow decodes AVIF, and pillow-heif (libheif, libde265) HEIC, where it is installed, which is for the user to say: its wheels are
under the GPL.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from PIL import AvifImagePlugin, features

from fruitpipe.pictures import containers
from fruitpipe.pictures.containers import AVIF, HEIC

PLUGINS = {AVIF: "AVIF", HEIC: "HEIF"}  # as Pillow calls them
# What a reader of a row without its decoder is told, and how the picture comes in later.
NEEDED = {
    AVIF: "a Pillow that was built with libavif, as its wheels are",
    HEIC: "pillow-heif, which is not installed here: pip install 'fruitpipe[heic]' on every node",
}
RETRY = "fruitpipe errors --root ROOT --reason unsupported-format --retry"

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a worker has one core


def needed(body: bytes) -> str | None:
    """What has to be installed to decode it, in a sentence; None where it can be decoded, and for other formats."""
    name = containers.kind(body)
    if name not in PLUGINS or decoder(name):
        return None
    return f"{name}: needs {NEEDED[name]}; then run `{RETRY}`"


def family(name: str) -> str:
    """``avif`` or ``heif``: what a decoder's name begins with."""
    return PLUGINS[name].lower()


def plugin(name: str) -> str:
    """What Pillow calls the format of the files of a kind, which it can open from now on."""
    if name == HEIC:
        _register_heif()
    return PLUGINS[name]


@cache
def decoder(name: str) -> str | None:
    """``avif-1.4.2`` or ``heif-1.23.6``: what decodes files of a kind; None where it is not installed."""
    version = features.version("avif") if name == AVIF else _libheif_version()
    return f"{family(name)}-{version}" if version else None


def _libheif_version() -> str | None:
    if find_spec("pillow_heif") is None:
        return None
    import pillow_heif  # 15 ms, for those who have such pictures

    return str(pillow_heif.libheif_version())


@cache
def _register_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)

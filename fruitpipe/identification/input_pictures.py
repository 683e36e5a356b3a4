"""The pictures that somebody asks about: files, objects, and what lies in a folder or below a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.errors import NotFound
from fruitpipe.pictures.bad_image import BadImage
from fruitpipe.pictures.decoding import picture_in
from fruitpipe.pictures.image_filter import ImageFilter
from fruitpipe.pictures.naming import Naming
from fruitpipe.pictures.preprocessing import STANDARD, Preprocessing
from fruitpipe.settings import GLOB, MAX_IMAGE_BYTES

if TYPE_CHECKING:
    from fruitpipe.pictures.decoding import Picture


def named_by(places: list[str]) -> list[str]:
    """The URIs of the pictures at these paths or URIs; of a folder those whose names are images', sorted.

    Raises NotFound where one of them is nothing, or holds no image, so that this is said before any picture is looked at.
    """
    return [uri for place in places for uri in _at(place)]


def _at(place: str) -> list[str]:
    uri = objects.canonical(place)
    choice = ImageFilter(Naming(prefixes=(uri,), takes_side_files=False), GLOB)
    listed = sorted(stat.path for stat in objects.list_all(uri))
    found = listed if listed == [uri] else [path for path in listed if choice.takes(path)]
    if not listed:
        raise NotFound(f"{place}: there is no such picture or folder")
    if not found:
        raise NotFound(f"{place}: no name in it is like {GLOB}" + (f" ({choice})" if str(choice) else ""))
    return found


def read(uri: str, preprocessing: Preprocessing = STANDARD, *, in_full: bool = False) -> Picture | BadImage:
    """The picture at `uri`, decoded as the stream does, or why there is none. Raises PlatformFault where the store fails."""
    match objects.look(uri, max_bytes=MAX_IMAGE_BYTES):
        case objects.Found(_, body):
            return picture_in(body, preprocessing, in_full=in_full)
        case objects.TooLarge(stat):
            return BadImage("too-large", f"{stat.length} bytes, at most {MAX_IMAGE_BYTES} are read")
        case objects.Withheld(message, reason):
            return BadImage(reason, message)
        case objects.Unreadable(message):
            return BadImage("unreadable", message)
        case _:
            return BadImage("unreadable", "it was removed just now")

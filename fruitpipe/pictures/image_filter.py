"""Decides which objects of a listing are images, and counts those that are not, so that none is skipped silently."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from fruitpipe.pictures import globs
from fruitpipe.pictures.links import Links
from fruitpipe.pictures.naming import Naming

OF_SYSTEMS = {".ds_store", "thumbs.db", "desktop.ini", ".localized", ".nomedia", "ehthumbs.db"}  # not worth a count
LONGEST_ENDING = 8
NAMED = 8


@dataclass
class ImageFilter:
    """The filter of one listing. It counts what it skips: side_files by kind, elsewhere by other folder, endings by extension."""

    naming: Naming
    glob: str
    side_files: Counter[str] = field(default_factory=Counter)
    elsewhere: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._glob = globs.matcher(self.glob)
        self._links = Links(self.naming.prefixes if len(self.naming.prefixes) > 1 else ())

    def takes(self, path: str) -> bool:
        """Whether the object is an image; counts it if not."""
        folder, _, name = path.rpartition("/")
        is_named = self._glob.match(name)
        if kind := self.naming.side_file(path):
            self.side_files[kind] += bool(is_named)
        elif not is_named:
            self.endings[ending(name)] += name.lower() not in OF_SYSTEMS
        elif (own := self._links.own_name(folder)) != folder:
            self.elsewhere[own] += 1
        else:
            return True
        return False

    def would_take(self, path: str) -> bool:
        """Whether a row of this path is to be deleted when it is not listed: a listing would find the image. True for side files.

        False in a folder whose images are listed under another name of it, as they are still there.
        """
        folder, _, name = path.rpartition("/")
        return bool(self._glob.match(name)) and self._links.own_name(folder) == folder

    def __str__(self) -> str:
        """``skipped: 20 side files of macOS; names that are not like *.jpg: 12 .heic``; nothing where nothing was."""
        said = [", ".join(f"{count:,} {kind}" for kind, count in _most_first(self.side_files) if count)]
        others = _most_first(self.elsewhere)[:NAMED]
        said += [f"{count:,} images that have another name, in {folder}" for folder, count in others]
        if endings := [f"{count:,} {ending}" for ending, count in _most_first(self.endings) if count]:
            more = f" and {len(endings) - NAMED} more kinds" if len(endings) > NAMED else ""
            said.append(f"names that are not like {self.glob}: {', '.join(endings[:NAMED])}{more}")
        found = "; ".join(filter(None, said))
        return f"skipped: {found}" if found else ""


def _most_first(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def ending(name: str) -> str:
    """``a.HEIC`` → ``.heic``; longer or odder ones count together."""
    stem, _, after = name.rpartition(".")
    return f".{after.lower()}" if stem and after.isalnum() and len(after) <= LONGEST_ENDING else "without an ending"

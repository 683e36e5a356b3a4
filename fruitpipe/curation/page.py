"""Writes what was found as one HTML page with small pictures. It opens offline, runs no script and asks for nothing."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.errors import WrongUsage
from fruitpipe.output import quoted
from fruitpipe.pictures import thumbnails
from fruitpipe.root import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fruitpipe.curation.duplicates import Group
    from fruitpipe.curation.outliers import Outlier

OF_A_VERSION = re.compile(r"v\d{6,}\.html")
MOST_PICTURES = 3_000  # on a page, which then has 4 MB
MOST_BYTES = 2_000_000_000  # read for a page; later pictures are names alone


class Section(NamedTuple):
    """A heading, and the pictures below it: path, and what is said of it (its label first). doubtful: it gets a mark."""

    heading: str
    pictures: tuple[tuple[str, str], ...]
    doubtful: bool = False


def of_group(group: Group) -> Section:
    """A group of duplicates."""
    several = len(group.labels) > 1
    heading = f"{len(group.images)} images" + (f", labels {', '.join(map(named, group.labels))}" if several else "")
    return Section(heading, tuple((image.path, named(image.label)) for image in group.images), several)


def of_outlier(outlier: Outlier) -> Section:
    """An outlier, and the images that are nearest to it."""
    heading = f"{named(outlier.label)}, among {named(outlier.majority)} ({outlier.votes} of {outlier.of} nearest)"
    near = tuple((one.path, f"{named(one.label)}, {one.distance:.2f} apart") for one in outlier.nearest)
    return Section(heading, ((outlier.path, named(outlier.label)), *near))


def named(label: str) -> str:
    """A label for people: as `quoted`, and "" for that of images at the top of the prefix."""
    return quoted(label) or '""'


def check_place(uri: str, root: str) -> None:
    """Raises WrongUsage for a page in the root that is not beside its reports, where no erasure knows it, or is one of them."""
    layout.check_users(uri, root)
    if layout.lies_in(uri, root) and OF_A_VERSION.fullmatch(objects.name(objects.real(objects.canonical(uri)))):
        raise WrongUsage(f"{uri} is where the report of a version lies; give the page another name")


def write(uri: str, title: str, about: str, sections: Sequence[Section]) -> None:
    """Writes the page. Of more than MOST_PICTURES the first sections alone are on it, and it says so."""
    shown = _that_fit(sections)
    if len(shown) < len(sections):
        about += f" The first {len(shown):,} of {len(sections):,} are on this page."
    objects.write(objects.canonical(uri), html(title, about, shown).encode())


def html(title: str, about: str, sections: Sequence[Section]) -> str:
    """The page. Names of images and labels stand in it as text alone."""
    paths = list(dict.fromkeys(path for section in sections for path, _ in section.pictures))
    pictures = dict(zip(paths, thumbnails.of(paths, MOST_BYTES), strict=True))
    page = (files("fruitpipe.curation") / "page.html").read_text(encoding="utf-8")
    for name, text in (("title", escape(title)), ("about", escape(about))):
        page = page.replace(f"<!--{name}-->", text)
    return page.replace("<!--sections-->", "\n".join(_section(section, pictures) for section in sections))


def _that_fit(sections: Sequence[Section]) -> list[Section]:
    shown, pictures = list[Section](), 0
    for section in sections:
        pictures += len(section.pictures)
        if shown and pictures > MOST_PICTURES:
            break
        shown.append(section)
    return shown


def _section(section: Section, pictures: dict[str, str | None]) -> str:
    figures = "".join(_figure(path, text, pictures[path]) for path, text in section.pictures)
    mark = ' class="doubtful"' if section.doubtful else ""
    return f'<section{mark}><h2>{escape(section.heading)}</h2><div class="pictures">{figures}</div></section>'


def _figure(path: str, text: str, picture: str | None) -> str:
    image = f'<img alt="" src="{escape(picture)}">' if picture else '<div class="none">no picture</div>'
    return f"<figure>{image}<figcaption><b>{escape(text)}</b>{escape(quoted(path))}</figcaption></figure>"

"""`fruitpipe duplicates` and `fruitpipe outliers`: which images are there twice, and which labels are doubtful."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from fruitpipe.cli.flags import Root, check_region, taking
from fruitpipe.cli.look import LOOK
from fruitpipe.output import quoted, say, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fruitpipe.curation.duplicates import Group
    from fruitpipe.curation.outliers import Outlier
    from fruitpipe.curation.page import Section

commands = typer.Typer()
DIFFERENCE = 0.04  # docs/look.md defends both
NEIGHBOURS = 5
Page = Annotated[
    str | None, typer.Option("--page", metavar="FILE.html", help="Write them with their pictures to this page, local or in S3.")
]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object a line instead of text.")]


@dataclass(frozen=True)
class DuplicatesFlags:
    """What `fruitpipe duplicates` is asked for."""

    root: Root
    difference: Annotated[
        float, typer.Option("--difference", min=0, max=1, help="At most, of two pictures: 0 the same, 1.41 nothing in common.")
    ] = DIFFERENCE
    page: Page = None
    as_json: AsJson = False


@commands.command(rich_help_panel=LOOK)
@taking(DuplicatesFlags)
def duplicates(given: DuplicatesFlags) -> None:
    """Group the images of the current version that show the same picture, encoded, scaled, cropped, lit or turned otherwise."""
    from fruitpipe.curation import duplicates, page, points

    shown = _Shown(given.page, given.root)
    images = points.read(given.root)
    found = duplicates.find(images, given.difference)
    say(*(to_json(group.as_dict()) if given.as_json else _group(group) for group in found.groups))
    count = sum(len(group.images) for group in found.groups)
    about = f"{len(images.paths):,} images of {images.version}: {len(found.groups):,} groups of duplicates with {count:,} images"
    _sum_up(about, given.as_json)
    if found.unread:
        say(
            f"{found.unread:,} images are gone, no pictures any more, over 20 MB or too slow to decode, and are in no group",
            to=sys.stderr,
        )
    shown.write("Duplicates", about, [page.of_group(group) for group in found.groups])


@dataclass(frozen=True)
class OutliersFlags:
    """What `fruitpipe outliers` is asked for."""

    root: Root
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=1, max=100, help="Nearest images, of which more than half bear another label.")
    ] = NEIGHBOURS
    page: Page = None
    as_json: AsJson = False


@commands.command(rich_help_panel=LOOK)
@taking(OutliersFlags)
def outliers(given: OutliersFlags) -> None:
    """List the images of the current version whose nearest images bear another label: wrong labels, odd pictures."""
    from fruitpipe.curation import outliers, page, points

    shown = _Shown(given.page, given.root)
    images = points.read(given.root)
    found = outliers.find(images, given.neighbours)
    say(*(to_json(one.as_dict()) if given.as_json else _outlier(one) for one in found))
    about = f"{len(images.paths):,} images of {images.version}: {len(found):,} whose nearest images bear another label"
    _sum_up(about, given.as_json)
    shown.write("Outliers", about, [page.of_outlier(one) for one in found])


class _Shown:
    """The page that was asked for, if any. Begun before anything is read, so that it shows no image that is erased meanwhile."""

    def __init__(self, uri: str | None, root: str) -> None:
        """Raises WrongUsage, WrongRegion for a place where it may not be."""
        from fruitpipe import objects
        from fruitpipe.curation import page
        from fruitpipe.erasure import register
        from fruitpipe.root import layout

        self._uri, self._root = uri, objects.canonical(root)
        self._erased: frozenset[str] | None = None
        if uri:
            page.check_place(uri, root)
            check_region(uri)
            self._erased = register.gone_from_versions(self._root) if layout.lies_in(uri, root) else None

    def write(self, title: str, about: str, sections: Sequence[Section]) -> None:
        from fruitpipe import objects
        from fruitpipe.curation import page
        from fruitpipe.erasure import register

        if not self._uri:
            return
        page.write(self._uri, title, f"{about}.", sections)
        if self._erased is not None:
            register.check_shown(self._root, objects.canonical(self._uri), self._erased)
        say(f"{self._uri}: written", to=sys.stderr)


def _sum_up(about: str, as_json: bool) -> None:
    say(about, to=sys.stderr if as_json else sys.stdout)


def _group(group: Group) -> str:
    """``2 alike: a.jpg, b.jpg``, with the labels where they differ."""
    from fruitpipe.curation import page

    alike = f"{len(group.images)} alike: {', '.join(quoted(image.path) for image in group.images)}"
    return alike + (f"; labels {', '.join(map(page.named, group.labels))}" if len(group.labels) > 1 else "")


def _outlier(found: Outlier) -> str:
    """``a.jpg: Kiwi, among Lemon (9 of 10); nearest b.jpg, c.jpg``."""
    from fruitpipe.curation import page

    near = ", ".join(quoted(one.path) for one in found.nearest)
    label, other = page.named(found.label), page.named(found.majority)
    return f"{quoted(found.path)}: {label}, among {other} ({found.votes} of {found.of}); nearest {near}"

"""Lists names in parallel: several listers each list a range, and a range is cut again when a lister would be idle.

A store gives a page of names at a time, in order, after any name that it is asked to start after. So the names can be cut at any
strings whatever, and each range be listed for itself: a bad cut costs a request that finds nothing, never a name. Pure but for
the threads; the store comes in as two functions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

LISTERS, MOST_LISTERS = 16, 256  # pages asked for at the same time, and how many may be asked for
MOST_CUTS = 64  # of one range: beyond that, most find nothing

Page = tuple[list[str], list[T], bool]  # names in order, what the store says of each, and whether there are more


@dataclass(frozen=True)
class Range(Generic[T]):
    """The names greater than `after`, up to and including `until`; without one, to the end."""

    after: str = ""
    until: str | None = None

    def read(self, page: Callable[[str], Page[T]]) -> tuple[list[str], list[T], Range[T] | None]:
        """Reads one page of the range: names, values, and the rest of the range, None at its end."""
        names, entries, more = page(self.after)
        if self.until is not None and names:
            count = bisect_right(names, self.until)
            names, entries, more = names[:count], entries[:count], more and names[-1] < self.until
        return names, entries, Range(names[-1], self.until) if more else None

    def cut(self, cuts: Iterable[str]) -> list[Range[T]]:
        """The same names in several ranges."""
        inside = sorted({cut for cut in cuts if cut > self.after and (self.until is None or cut < self.until)})
        return [Range(after, until) for after, until in zip([self.after, *inside], [*inside, self.until], strict=True)]


def listed(page: Callable[[str], Page[T]], folders: Callable[[str, str], list[str]], listers: int = LISTERS) -> Iterator[T]:
    """Everything there is, in no order: `page(after)` gives names, `folders(below, after)` the folders directly below one.

    One request a page, `listers` at a time, and some more to find the cuts where there are many pages. Holds as many pages.
    """
    with ThreadPoolExecutor(listers, "fruitpipe-list") as pool:
        pending: set[Future[tuple[list[str], list[T], Range[T] | None]]] = {pool.submit(Range[T]().read, page)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for names, entries, left in (future.result() for future in done):
                yield from entries
                if left is None:
                    continue
                cuts = spread([*cuts_by_folder(left, folders), *cuts_by_name(names)]) if len(pending) < listers else []
                pending |= {pool.submit(part.read, page) for part in left.cut(cuts)}


def cuts_by_name(names: list[str]) -> list[str]:
    """Cuts for a range that continues names like these: at numbers that count on, and at characters that differ among them.

    ``img_000000`` to ``img_000999`` → ``img_001``, … ``img_01``, … ``img_1``, … ``img_9``.
    """
    first, last = names[0], names[-1]
    same = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    characters = sorted(set("".join(names[:: max(1, len(names) // 50)])) | set("0123456789") - {"/"})
    places = [place for place in range(min(same + 1, len(last))) if place == same or last[place].isdigit()]
    return [last[:place] + character for place in places for character in characters if character > last[place]]


def cuts_by_folder(left: Range[T], folders: Callable[[str, str], list[str]]) -> list[str]:
    """Cuts at the next folders, on each level of the folder in which the range begins."""
    parts = left.after.split("/")[:-1]
    found: list[str] = []
    for depth in range(len(parts) + 1):
        below = "".join(f"{part}/" for part in parts[:depth])
        beside = "".join(f"{part}/" for part in parts[: depth + 1])
        if left.until is None or depth == len(parts) or not left.until.startswith(beside):
            found += folders(below, left.after)
    return found


def spread(cuts: list[str]) -> list[str]:
    """At most MOST_CUTS of them, evenly chosen."""
    chosen = sorted(set(cuts))
    return chosen[:: -(-len(chosen) // MOST_CUTS)] if chosen else []

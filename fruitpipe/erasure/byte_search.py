"""Searches bytes for the names of images, in any spelling, and for their vectors.

The haystack is decoded rather than the needles encoded, since a name has many percent-encoded and JSON-escaped spellings but one
plain one. Needles are grouped by their first bytes, so that 10,000 cost hardly more than one.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEGINNING = 12  # first bytes by which needles are grouped: a bucket's or a folder's name, mostly
ESCAPES = re.compile(rb'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')
NESTING = 3  # JSON in JSON in JSON: Delta's statistics in a message in a log
# What follows or precedes a needle that is only a part of another image's name.
GOES_ON = re.compile(rb"[\w\-%+\x80-\xff]|\.\w")
GOES_BEFORE = re.compile(rb"[\w.\-%\x80-\xff]")
WINDOW = 8  # consecutive numbers that tell one vector from any other


@dataclass(frozen=True, eq=False)
class Traces:
    """What is searched for: names of images, and digests and windows of their vectors.

    paths: canonical URIs. digests: (m,) uint64, one a vector, see `digests_of`. windows: (m, WINDOW) uint32, the bits of WINDOW
    consecutive numbers of each of those vectors. longer: other images' names that begin with one of `paths`, or become one when
    they are decoded; they do not count as that one.
    """

    paths: frozenset[str]
    digests: NDArray[np.uint64]
    windows: NDArray[np.uint32]
    longer: frozenset[str] = frozenset()

    @classmethod
    def of(cls, paths: Iterable[str], vectors: Sequence[NDArray[np.float32]] = (), longer: Iterable[str] = ()) -> Traces:
        """The traces of `paths` and of `vectors`, each (d,) float32; without vectors of fewer than WINDOW non-zero numbers."""
        telling = [vector for vector in vectors if np.count_nonzero(vector) >= WINDOW]
        windows = {int(digests_of(vector[np.newaxis])[0]): _window(vector) for vector in telling}
        return cls(frozenset(paths), *_columns(windows), frozenset(longer))

    def of_names(self) -> Traces:
        """These traces without the vectors."""
        return replace(self, digests=self.digests[:0], windows=self.windows[:0])

    def to_json(self) -> bytes:
        """The traces as JSON, which `from_json` reads."""
        vectors = [[digest, window.tolist()] for digest, window in self.window_of.items()]
        return json.dumps({"paths": sorted(self.paths), "longer": sorted(self.longer), "vectors": vectors}).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Traces:
        """The traces that `to_json` wrote."""
        fields = json.loads(body)
        # Until 0.1.0 the windows were a list of their own, in another order than the digests.
        told = fields.get("vectors") or zip(fields.get("digests", ()), itertools.cycle(fields.get("windows", ())), strict=False)
        windows = {digest: np.array(window, np.uint32) for digest, window in told}
        return cls(frozenset(fields["paths"]), *_columns(windows), frozenset(fields["longer"]))

    @classmethod
    def all_of(cls, several: Iterable[Traces]) -> Traces:
        """The traces of several requests together, for one pass."""
        every = list(several)
        windows = {digest: window for one in every for digest, window in one.window_of.items()}
        paths = frozenset[str]().union(*(one.paths for one in every))
        return cls(paths, *_columns(windows), frozenset[str]().union(*(one.longer for one in every)) - paths)

    @cached_property
    def window_of(self) -> dict[int, NDArray[np.uint32]]:
        """The window of each vector, by its digest."""
        return dict(zip(self.digests.tolist(), self.windows, strict=True))

    def named_in(self, text: bytes) -> bool:
        """Whether `text` holds one of the names: plain, percent-encoded, JSON-escaped or as HTML."""
        return any(self.stands_in(spelling) for spelling in spellings(text, self._without_encoded))

    def vectors_in(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
        """Which of the (n, d) rows are among the vectors, (n,) bool, and the digests of all rows, (n,) uint64."""
        digests = digests_of(rows)
        return np.isin(digests, self.digests), digests

    def windows_in(self, body: bytes) -> frozenset[int]:
        """The digests of the vectors whose window is in `body`, as little-endian float32 at any offset."""
        if not len(self.windows):
            return frozenset()
        aligned = (np.frombuffer(body[offset : len(body) - (len(body) - offset) % 4], "<u4") for offset in range(4))
        return frozenset[int]().union(*map(self._windows_at, aligned))

    def _windows_at(self, words: NDArray[np.uint32]) -> set[int]:
        if len(words) < WINDOW:
            return set()
        starts = np.flatnonzero(np.isin(words[: len(words) - WINDOW + 1], self.windows[:, 0]))
        found = {row.tobytes() for row in words[starts[:, np.newaxis] + np.arange(WINDOW)]}
        return {digest for digest, window in self.window_of.items() if window.tobytes() in found}

    def stands_in(self, text: bytes) -> bool:
        """Whether `text` holds one of the names in its plain spelling."""
        for other in self.longer:
            text = text.replace(needle_of(other), b"")
        for beginning, (lengths, needles) in self._by_beginning.items():
            at = text.find(beginning)
            while at >= 0:
                if not GOES_BEFORE.match(text, max(at - 1, 0), at) and any(
                    text[at : at + length] in needles and not GOES_ON.match(text, at + length) for length in lengths
                ):
                    return True
                at = text.find(beginning, at + 1)
        return False

    def _without_encoded(self, text: bytes) -> bytes:
        """`text` without other images' names that read like one of ours when they are decoded: those are names as they are."""
        for other in self.longer:
            if "%" in other or "+" in other:
                text = text.replace(needle_of(other), b"")
        return text

    @cached_property
    def _by_beginning(self) -> dict[bytes, tuple[list[int], set[bytes]]]:
        groups: dict[bytes, set[bytes]] = {}
        for path in self.paths:
            needle = needle_of(path)
            groups.setdefault(needle[:BEGINNING], set()).add(needle)
        return {beginning: (sorted({len(needle) for needle in group}), group) for beginning, group in groups.items()}


def needle_of(path: str) -> bytes:
    """The bytes to search for: the URI without its scheme, ``//bucket/key`` or ``/folder/name``, as others may write ``s3a:``."""
    return (path.removeprefix("file://") if path.startswith("file:") else path.partition(":")[2]).encode()


def spellings(text: bytes, to_decode: Callable[[bytes], bytes] = bytes) -> Iterator[bytes]:
    """`text` as it is, and decoded from JSON, percent-encoding, HTML, or one within another.

    to_decode: what of a text is to be read as percent-encoded.
    """
    plain = [text]
    for _ in range(NESTING):
        if b"\\" in plain[-1] and ESCAPES.search(plain[-1]):  # one byte is found ten times as fast as a pattern
            plain.append(ESCAPES.sub(_unescaped, plain[-1]))
    if b"&" in text and re.search(rb"&(?:#|\w+;)", text):
        plain.append(html.unescape(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))
    for one in plain:
        yield one
        if b"%" in one and b"%" in (encoded := to_decode(one)):
            yield unquote_to_bytes(encoded)
            if b"+" in encoded:
                yield unquote_to_bytes(encoded.replace(b"+", b" "))


def digests_of(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A 64-bit digest of each of the (n, d) rows: their bits times fixed odd numbers, summed up. 1 µs a row at d = 1280."""
    factors = np.random.default_rng(rows.shape[1]).integers(2**64, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32).astype(np.uint64)
    digests: NDArray[np.uint64] = (bits * factors).sum(axis=1, dtype=np.uint64)
    return digests


def _columns(windows: dict[int, NDArray[np.uint32]]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    return np.array(list(windows), np.uint64), np.array(list(windows.values()), np.uint32).reshape(-1, WINDOW)


def _window(vector: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The WINDOW consecutive numbers, the first not zero, with the most numbers other than zero: (WINDOW,) uint32."""
    filled = np.convolve(vector != 0, np.ones(WINDOW), "valid") * (vector[: len(vector) - WINDOW + 1] != 0)
    start = int(filled.argmax())
    return np.ascontiguousarray(vector[start : start + WINDOW], np.float32).view(np.uint32)


def _unescaped(match: re.Match[bytes]) -> bytes:
    text: Any = json.loads(b'"' + match[0] + b'"')
    return str(text).encode("utf-8", "surrogatepass")

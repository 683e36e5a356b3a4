"""Searches bytes for the names of images, in any spelling, and for their vectors.

The haystack is decoded rather than the needles encoded, since a name has many percent-encoded and JSON-escaped spellings but one
plain one. An image that stays may have a name in which an erased one's can be read: ``a.jpg (1).jpg``, or ``a%20b.jpg`` beside
``a b.jpg``. Such names are taken out of the haystack, in each spelling, before anything in it counts.
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

from fruitpipe.erasure.needles import Needles

if TYPE_CHECKING:
    from numpy.typing import NDArray

ESCAPES = re.compile(rb'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')
NESTING = 3  # JSON in JSON in JSON: Delta's statistics in a message in a log
WINDOW = 8  # consecutive numbers that tell one vector from any other


@dataclass(frozen=True, eq=False)
class Traces:
    """What is searched for: names of images, and digests and windows of their vectors.

    paths: canonical URIs. digests: (m,) uint64, one a vector, see `digests_of`. windows: (m, WINDOW) uint32, the bits of WINDOW
    consecutive numbers of each of those vectors. others: names of images that stay and in which one of `paths` can be read; they
    do not count as that one. They change while an erasure is carried out, so nobody keeps them.
    """

    paths: frozenset[str]
    digests: NDArray[np.uint64]
    windows: NDArray[np.uint32]
    others: frozenset[str] = frozenset()

    @classmethod
    def of(cls, paths: Iterable[str], vectors: Sequence[NDArray[np.float32]] = ()) -> Traces:
        """The traces of `paths` and of `vectors`, each (d,) float32; without vectors of fewer than WINDOW non-zero numbers."""
        telling = [vector for vector in vectors if np.count_nonzero(vector) >= WINDOW]
        windows = {int(digests_of(vector[np.newaxis])[0]): _window(vector) for vector in telling}
        return cls(frozenset(paths), *_columns(windows))

    def beside(self, others: Iterable[str]) -> Traces:
        """These traces, where images of these names stay. Names that are to go themselves are left out."""
        every = self.others.union(others) - self.paths
        return self if every == self.others else replace(self, others=every)  # with what it has prepared for its search

    def of_names(self) -> Traces:
        """These traces without the vectors."""
        return replace(self, digests=self.digests[:0], windows=self.windows[:0])

    def to_json(self) -> bytes:
        """The traces as JSON, which `from_json` reads."""
        vectors = [[digest, window.tolist()] for digest, window in self.window_of.items()]
        none: list[str] = []  # of `others`, some of which version 0.1.0 kept and looks for
        return json.dumps({"paths": sorted(self.paths), "longer": none, "vectors": vectors}).encode()

    @classmethod
    def from_json(cls, body: bytes) -> Traces:
        """The traces that `to_json` wrote."""
        fields = json.loads(body)
        # Until 0.1.0 the windows were a list of their own, in another order than the digests.
        told = fields.get("vectors") or zip(fields.get("digests", ()), itertools.cycle(fields.get("windows", ())), strict=False)
        windows = {digest: np.array(window, np.uint32) for digest, window in told}
        return cls(frozenset(fields["paths"]), *_columns(windows))

    @classmethod
    def all_of(cls, several: Iterable[Traces]) -> Traces:
        """The traces of several requests together, for one pass."""
        every = list(several)
        windows = {digest: window for one in every for digest, window in one.window_of.items()}
        paths = frozenset[str]().union(*(one.paths for one in every))
        return cls(paths, *_columns(windows), frozenset[str]().union(*(one.others for one in every)) - paths)

    @cached_property
    def window_of(self) -> dict[int, NDArray[np.uint32]]:
        """The window of each vector, by its digest."""
        return dict(zip(self.digests.tolist(), self.windows, strict=True))

    def named_in(self, text: bytes) -> bool:
        """Whether `text` holds one of the names: plain, percent-encoded, JSON-escaped or as HTML."""
        return any(self.stands_in(spelling) for spelling in spellings(text, self._without_others))

    def among(self, names: Sequence[str]) -> list[str]:
        """Those of `names` in which one of ours can be read, our own ones aside. Looks at all of them together first."""
        left = [name for name in names if name not in self.paths]
        if not left or not self.named_in("\n".join(left).encode("utf-8", "surrogatepass")):
            return []
        return left if len(left) == 1 else [*self.among(left[: len(left) // 2]), *self.among(left[len(left) // 2 :])]

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
        return self._needles.are_in(text) and (not self.others or self._needles.are_in(self._without_others(text)))

    def _without_others(self, text: bytes) -> bytes:
        return self._staying.cut_from(text) if self.others else text

    @cached_property
    def _needles(self) -> Needles:
        return Needles(self.paths)

    @cached_property
    def _staying(self) -> Needles:
        return Needles(self.others)


def spellings(text: bytes, to_decode: Callable[[bytes], bytes] = bytes) -> Iterator[bytes]:
    """`text` as it is, and decoded from JSON, percent-encoding, HTML, or one within another.

    to_decode: what of a text is to be read as encoded.
    """
    plain = [text]
    for _ in range(NESTING):
        if b"\\" in plain[-1] and ESCAPES.search(plain[-1]):  # one byte is found ten times as fast as a pattern
            plain.append(ESCAPES.sub(_unescaped, to_decode(plain[-1])))
    if b"&" in text and re.search(rb"&(?:#|\w+;)", text):
        plain.append(html.unescape(to_decode(text).decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))
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

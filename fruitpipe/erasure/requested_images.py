"""Finds the images that a request to erase means: those named, those below a prefix, those of a label. Nothing is guessed.

S3's keys are bytes: two spellings of one visible name are two images. A name that matches none exactly is refused, and the error
says where there is an image of another spelling.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from fruitpipe import objects
from fruitpipe.erasure import notes, register, request_list
from fruitpipe.erasure.held_rows import Rows
from fruitpipe.erasure.record import Erasure
from fruitpipe.erasure.request_list import Named
from fruitpipe.errors import NotFound, WrongUsage
from fruitpipe.pictures import naming
from fruitpipe.root import layout

LOOKERS = 16  # objects looked for at the same time
MARKER = "_$folder$"  # the suffix of Hadoop's folder markers in S3


@dataclass(frozen=True)
class Criteria:
    """What to erase: images by name, everything below a prefix, everything of a label. keep_object: leave the objects."""

    named: Sequence[Named] = ()
    prefix: str | None = None
    label: str | None = None
    keep_object: bool = False


@dataclass(frozen=True)
class Selection:
    """The images that criteria select.

    paths: those to erase. asked_as: the prefix or label that was given in place of names. done: how many images each earlier
    request covers, by its id. same_bytes: other images with the same bytes, which were not asked for. without_row: those of
    `paths` that the table does not know: other files in the same folders, or images that are new.
    """

    paths: list[str]
    asked_as: list[str]
    done: dict[str, int]
    same_bytes: list[str]
    without_row: list[str]


def select(root: str, criteria: Criteria) -> Selection:
    """The images that the criteria mean. Raises NotFound with the names that neither store nor table has; WrongUsage."""
    if not (criteria.named or criteria.prefix or criteria.label):
        raise WrongUsage("nothing to erase: give URIs, --prefix, --label or --from-file")
    earlier, rows = Earlier.of(root), Rows(root)
    wanted, hashes = _exact(root, criteria.named, rows, earlier)
    groups = dict(_groups(root, criteria, rows))
    for one, found in groups.items():
        if not found and not earlier.covers(one):
            raise NotFound(f"{one}: there is no such image under {root}, and nothing was recorded")
        wanted += found
    new, done = _new(list(dict.fromkeys(wanted)), earlier, keep_object=criteria.keep_object)
    for one in groups:
        by = earlier.covers(one)
        if by and not wanted:
            done.setdefault(by.id, len(by.images))
    hashes |= rows.hashes(set(new) - hashes.keys())
    same = rows.same_bytes([hashes[path] for path in new if path in hashes], wanted)
    without_row = [path for path in new if path not in hashes]
    return Selection(new, list(groups), done, _new(same, earlier, keep_object=criteria.keep_object)[0], without_row)


def check_outside(root: str, uri: str) -> None:
    """Raises WrongUsage for a URI inside the root: the table, models and certificates are not images."""
    if layout.lies_in(uri, root):
        raise WrongUsage(f"{uri}: lies in the root {root}, or holds it; name images, or a prefix of images alone")


@dataclass(frozen=True)
class Earlier:
    """Earlier requests, by the hash of each image, prefix or label that they cover.

    removed: the ids of those that have removed all their objects. An object that is there since was put back.
    """

    salt: register.Salt | None
    by_hash: dict[str, Erasure]
    removed: frozenset[str]

    @classmethod
    def of(cls, root: str) -> Earlier:
        """Reads the requests under the root, except those whose list of names is lost."""
        records = [record for record in register.every(root) if register.NAMELESS not in record.remaining]
        by_hash = {one: erasure for erasure in records for one in (*erasure.images, *erasure.asked_as)}
        removed = frozenset(one.id for one in records if one.status == "done" or _has_removed(root, one))
        return cls(register.Salt.of(root) if records else None, by_hash, removed)

    def covers(self, name: str) -> Erasure | None:
        """The latest request for an image, a prefix or a label."""
        return self.by_hash.get(self.salt.hash(name)) if self.salt else None


def _has_removed(root: str, pending: Erasure) -> bool:
    tried = notes.objects_of(root, pending.id)
    return tried is not None and not tried.left


def _new(wanted: Sequence[str], earlier: Earlier, *, keep_object: bool) -> tuple[list[str], dict[str, int]]:
    """The images that need a new request, and how many each earlier request covers."""
    new: list[str] = []
    done: dict[str, int] = {}
    is_there = _are_there([path for path in wanted if (by := earlier.covers(path)) and by.id in earlier.removed])
    for path in wanted:
        by = earlier.covers(path)
        does_less = by and by.keep_object and not keep_object  # that request leaves the object, and this one is not to
        if by and not does_less and not is_there.get(path):
            done[by.id] = done.get(by.id, 0) + 1
        else:
            new.append(path)
    return new, done


def _groups(root: str, criteria: Criteria, rows: Rows) -> Iterator[tuple[str, list[str]]]:
    """The prefix and the label, as a request keeps them, with their images."""
    if criteria.prefix:
        prefix = request_list.canonical(criteria.prefix)
        check_outside(root, prefix)
        if layout.is_within(root, prefix):
            raise WrongUsage(f"{prefix}: lies in the root {root}, or holds it; name images, or a prefix of images alone")
        listed = {stat.path for stat in _below(prefix) if not _is_marker(stat, prefix)}
        yield f"prefix {prefix}", sorted({*listed, *rows.below(prefix)})
    if criteria.label:
        yield f"label {criteria.label}", _labelled(criteria.label, rows, naming.of(root))


def _below(uri: str) -> list[objects.Stat]:
    """The objects below a URI; none where its bucket is not there any more, as rows of its images may still be."""
    with suppress(NotFound):
        return list(objects.list_all(uri))
    return []


def _is_marker(stat: objects.Stat, prefix: str) -> bool:
    """Whether an object is a folder marker: it is empty and has the folder's own name, or Hadoop's suffix."""
    return not stat.length and (stat.path == prefix or stat.path.endswith(MARKER))


def _labelled(label: str, rows: Rows, rule: naming.Naming) -> list[str]:
    """The images with this label that have rows, and those in the same folders that have none yet."""
    paths = rows.labelled(label)
    folders = {path.rpartition("/")[0] for path in paths}
    beside = (stat.path for folder in folders for stat in _below(folder))
    return sorted({*paths, *(path for path in beside if rule.label(path) == label)})


def _exact(root: str, named: Sequence[Named], rows: Rows, earlier: Earlier) -> tuple[list[str], dict[str, str]]:
    """The named URIs, and the SHA-256 of each image that has, or had, a row. Raises NotFound for unknown ones."""
    by_path = _by_path(root, named)
    hashes = rows.hashes(by_path)
    unsure = [path for path in by_path if path not in hashes and not earlier.covers(path)]
    is_there = _are_there(unsure)
    unsure = [path for path in unsure if not is_there[path]]
    hashes |= rows.hashes_before(unsure)
    _check_known({path: by_path[path] for path in unsure if path not in hashes}, len(by_path), rows)
    return list(by_path), hashes


def _by_path(root: str, named: Sequence[Named]) -> dict[str, Named]:
    """The names by their canonical URIs. Raises WrongUsage, which tells each that can be no image's."""
    by_path: dict[str, Named] = {}
    refused = []
    for one in named:
        try:
            path = request_list.canonical(one.uri.rstrip("\r"))
            check_outside(root, path)
            by_path.setdefault(path, one)
        except WrongUsage as error:
            refused.append(f"{one.where}: {error}" if one.where else str(error))
    if refused:
        count = f"{len(refused)} of {len(named)} names are no images; nothing was recorded or erased: " if refused[1:] else ""
        raise WrongUsage(count + "; ".join(refused))
    return by_path


def _are_there(paths: Sequence[str]) -> dict[str, bool]:
    with ThreadPoolExecutor(LOOKERS, "fruitpipe-look") as lookers:
        return dict(zip(paths, lookers.map(objects.has_versions, paths), strict=True))


def _check_known(unknown: dict[str, Named], asked: int, rows: Rows) -> None:
    """Raises NotFound, which names each of `unknown`, where there are any."""
    if not unknown:
        return
    others = _Others(rows)
    said = [f"{one.where}: {others.explain(path)}" if one.where else others.explain(path) for path, one in unknown.items()]
    if len(said) == 1:
        raise NotFound(f"{said[0]}; nothing was recorded or erased; give names exactly as they are")
    rest = "; ".join(said)
    raise NotFound(f"{len(said)} of {asked} names are no images; nothing was recorded or erased; give them exactly: {rest}")


def _misspellings(path: str) -> Iterator[tuple[str, str]]:
    """What may have become of a name on its way, and what it was then."""
    yield "that is not percent-encoded", unquote(path)
    yield "without blanks around it", path.strip()
    yield "with plus signs, which are %2B in an address", path.replace(" ", "+")


class _Others:
    """Looks for images whose names are other spellings of an unknown name."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._beside = cache(self._listed)

    def explain(self, path: str) -> str:
        """A sentence that names the image of another spelling, if there is one. Escaped, as both look the same on a screen."""
        for kind, other in self._spellings(path):
            return f"{path!a}: there is no image of exactly this name, but one {kind}, {other!a}"
        return f"{path}: there is no such image, in the store or under the root"

    def _spellings(self, path: str) -> Iterator[tuple[str, str]]:
        if not path.isascii():  # plain letters have one spelling
            looks = unicodedata.normalize("NFC", path)
            same = (one for one in self._beside(path.rpartition("/")[0]) if unicodedata.normalize("NFC", one) == looks)
            yield from (("in another Unicode spelling", one) for one in same)
        for kind, other in _misspellings(path):
            if other != path and (self._rows.hashes([other]) or objects.has_versions(other)):
                yield kind, other

    def _listed(self, folder: str) -> list[str]:
        """The images directly in a folder, in the store and in the table."""
        there = [objects.join(folder, name) for name in objects.children(folder) if not name.endswith("/")]
        return sorted({*there, *(path for path in self._rows.below(folder) if path.rpartition("/")[0] == folder)})

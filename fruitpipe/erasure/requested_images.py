"""What a request to erase means: the images that it names, one by one. Nothing is guessed.

S3's keys are bytes: two spellings of one visible name are two images. What matches nothing exactly is refused, and where there is
another spelling of it, that is said.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.erasure.access import labels_by_path
from fruitpipe.errors import NotFound, WrongUsage
from fruitpipe.pictures import naming

EXAMPLES = 3


@dataclass(frozen=True)
class Selection:
    """paths: what is to go. asked_as: the prefix or label that stood for them. done: what an earlier request, by id, covers."""

    paths: list[str]
    asked_as: list[str]
    done: dict[str, int]


def select(root: str, uris: Sequence[str], prefix: str | None, label: str | None, *, keep_object: bool = False) -> Selection:
    """The images that are meant. Raises NotFound, naming them, where some are not known to anybody; WrongUsage."""
    if not (uris or prefix or label):
        raise WrongUsage("nothing to erase: give URIs, --prefix, --label or --from-file")
    _check_outside(root, uris, prefix)
    earlier = Earlier.of(root)
    held = labels_by_path(root)
    asked_as = [*([f"prefix {objects.canonical(prefix)}"] if prefix else []), *([f"label {label}"] if label else [])]
    wanted = _exact(uris, held, earlier)
    for one, found in (
        (f"prefix {objects.canonical(prefix)}" if prefix else "", _below(objects.canonical(prefix), held) if prefix else []),
        (f"label {label}" if label else "", _labelled(label, held, naming.of(root)) if label else []),
    ):
        if one and not found and not earlier.covers(one):
            raise NotFound(f"{one}: there is no such image under {root}, and nothing was recorded")
        wanted += found
    new: list[str] = []
    done: dict[str, int] = {}
    for path in dict.fromkeys(wanted):
        by = earlier.covers(path)
        does_less = by and by.keep_object and not keep_object  # that request leaves the object, and this one is not to
        if by and not does_less and (by.status != "done" or not _is_known(path, held)):
            done[by.id] = done.get(by.id, 0) + 1
        else:
            new.append(path)
    for one in asked_as:
        by = earlier.covers(one)
        if by and not wanted:
            done.setdefault(by.id, len(by.images))
    return Selection(new, asked_as, done)


@dataclass(frozen=True)
class Earlier:
    """The requests that there were, by what they cover."""

    salt: register.Salt | None
    by_hash: dict[str, register.Erasure]

    @classmethod
    def of(cls, root: str) -> Earlier:
        """Those under the root."""
        records = register.every(root)
        by_hash = {one: erasure for erasure in records for one in (*erasure.images, *erasure.asked_as)}
        return cls(register.Salt.of(root) if records else None, by_hash)

    def covers(self, name: str) -> register.Erasure | None:
        """The latest request for an image, a prefix or a label."""
        return self.by_hash.get(self.salt.hash(name)) if self.salt else None


def from_file(path: str) -> list[str]:
    """The URIs in a file, one a line; empty lines do not count."""
    try:
        text = objects.read(objects.canonical(path)).decode()
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path}: is not UTF-8 text; give one URI a line") from error
    return [line for line in text.split("\n") if line.strip()]


def _check_outside(root: str, uris: Sequence[str], prefix: str | None) -> None:
    """What the pipeline made is no image: the table, the models and the proofs themselves are not to go by this command."""
    for one in (*(objects.canonical(uri.rstrip("\r")) for uri in uris), *([objects.canonical(prefix)] if prefix else [])):
        if _is_within(one, root) or (prefix and _is_within(root, one)):
            raise WrongUsage(f"{one}: lies in the root {root}, or holds it; name images, or a prefix of images alone")


def _is_within(uri: str, folder: str) -> bool:
    return f"{uri}/".startswith(f"{folder}/")


def _labelled(label: str, held: dict[str, str], rule: naming.Naming) -> list[str]:
    """The images with this label that have rows, and those beside them that have none yet."""
    paths = [path for path, has in held.items() if has == label]
    folders = {path.rpartition("/")[0] for path in paths}
    beside = (stat.path for folder in folders for stat in objects.list_all(folder))
    return sorted({*paths, *(path for path in beside if rule.label(path) == label)})


def _exact(uris: Sequence[str], held: dict[str, str], earlier: Earlier) -> list[str]:
    paths = [objects.canonical(uri.rstrip("\r")) for uri in uris]
    unknown = [path for path in paths if not _is_known(path, held) and not earlier.covers(path)]
    if unknown:
        raise NotFound("; ".join([*(_unknown(path, held) for path in unknown[:EXAMPLES]), _conclusion(len(unknown))]))
    return paths


def _is_known(path: str, held: dict[str, str]) -> bool:
    return path in held or objects.has_versions(path)


def _below(prefix: str, held: dict[str, str]) -> list[str]:
    listed = [stat.path for stat in objects.list_all(prefix)]
    return sorted({*listed, *(path for path in held if path == prefix or path.startswith(f"{prefix}/"))})


def _unknown(path: str, held: dict[str, str]) -> str:
    folder = path.rpartition("/")[0]
    others = _spelled_otherwise(path, [*held, *(stat.path for stat in objects.list_all(folder))])
    if not others:
        return f"{path}: there is no such image, in the store or under the root"
    # As escapes: on a screen both look the same.
    return f"{path!a}: there is no image of exactly this name, but one in another Unicode spelling, {others[0]!a}"


def _spelled_otherwise(path: str, candidates: Iterable[str]) -> list[str]:
    looks = unicodedata.normalize("NFC", path)
    return sorted({one for one in candidates if one != path and unicodedata.normalize("NFC", one) == looks})


def _conclusion(unknown: int) -> str:
    more = f" ({unknown} in all)" if unknown > EXAMPLES else ""
    return f"nothing was recorded or erased{more}; give names exactly as they are"

"""The pointer, `<root>/reduced/latest.json`: the version that readers get, all published ones, and whether a rollback holds.

Every write is conditional on the etag that was read, so that of two writers one fails and nothing is lost. Readers need `version`
only, which is null where all versions were withdrawn: not every store removes an object on a condition, so this one stays. A
pointer of an early version lacks `held`, and is not held.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from fruitpipe import objects
from fruitpipe.errors import Conflict, NotFound, WrongRoot

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 8
# The version with the highest number so far, published still or withdrawn: no later one takes it, as copies elsewhere bear it. A
# pointer to nothing has it, too, and no `versions`, so that a fruitpipe of before refuses it in a line.
NEWEST = "newest"
Wanted = TypeVar("Wanted", bound="Pointer | None")


@dataclass(frozen=True)
class Hold:
    """A rollback until it is released. newest: the highest version at that time, to recognise later ones."""

    since: str
    newest: str


@dataclass(frozen=True)
class Check:
    """What a refit found that published nothing: a version has all good rows of the table's `features_version`, and no others."""

    version: str
    features_version: int


@dataclass(frozen=True)
class Pointer:
    """The contents of the pointer: the current version, and all published ones, oldest first.

    held: where no refit may switch. switched_at: when the current version became it. checked_at: when a refit last found that
    nothing is to be published, checked: what it found. Times in ISO 8601, of UTC.
    """

    version: str
    versions: tuple[str, ...]
    held: Hold | None = None
    switched_at: str | None = None
    checked_at: str | None = None
    checked: Check | None = None

    @property
    def newest(self) -> str:
        """The published version with the highest number; not the current one after a rollback."""
        return max(self.versions, key=number)

    @property
    def basis(self) -> str:
        """The version that a refit continues: the current one, or the last that was published since a rollback holds."""
        return self.newest if self.held and number(self.newest) > number(self.held.newest) else self.version

    def holds_until(self, version: str) -> int:
        """The features version until which a refit has found that nothing changed since a version; -1 where none has looked."""
        return self.checked.features_version if self.checked and self.checked.version == version else -1


def uri(root: str) -> str:
    """The URI of the pointer."""
    return objects.join(objects.canonical(root), "reduced", "latest.json")


def number(version: str) -> int:
    """``v000012`` → 12."""
    return int(version.removeprefix("v"))


def find(root: str) -> Pointer | None:
    """Reads the pointer; None where nothing is published. Raises WrongRoot for one that is not fruitpipe's."""
    return _parsed(root, _content(root)[0])


def last(root: str) -> int:
    """The highest number that a version is known to have had here, published still or withdrawn; 0 where there was none."""
    content, _ = _content(root)
    highest = _highest(content, _parsed(root, content))
    return number(highest) if highest else 0


def get(root: str) -> Pointer:
    """Reads the pointer. Raises NotFound where nothing is published yet, WrongRoot."""
    found = find(root)
    if found is None:
        raise NotFound(f"{root}: no reduced features are published yet; run fruitpipe refit --root {root} first")
    return found


def update(root: str, change: Callable[[Pointer | None], Wanted]) -> Wanted:
    """Replaces the pointer by `change` of it, and calls `change` again where another writer came in between.

    None, in and out, stands for nothing that is published. Raises what `change` raises, and Conflict where other writers come in
    between each time.
    """
    for _ in range(ATTEMPTS):
        content, etag = _content(root)
        found = _parsed(root, content)
        wanted = change(found)
        if wanted == found:
            return wanted  # done already: by a write of ours whose answer was lost, or by another hand
        try:
            objects.write(uri(root), _body(wanted, _highest(content, found, wanted)), if_absent=etag is None, if_etag=etag)
        except Conflict:
            continue
        return wanted
    raise Conflict(f"{uri(root)}: changed {ATTEMPTS} times while it was to be switched; run one writer at a time")


def now() -> str:
    """The current time in the pointer's format, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _highest(content: dict[str, Any] | None, *pointers: Pointer | None) -> str | None:
    """The version with the highest number of all that `content` and the pointers know; None where there was none."""
    told = [content[NEWEST]] if content and content.get(NEWEST) else []
    published = (version for one in pointers if one for version in one.versions)
    return max([*told, *published], key=number, default=None)


def _content(root: str) -> tuple[dict[str, Any] | None, str | None]:
    """What the pointer's object holds, and its etag, where there is one."""
    try:
        body, etag = objects.read_with_etag(uri(root))
    except NotFound:
        return None, None
    try:
        content = json.loads(body)
    except ValueError as error:
        raise _not_ours(root) from error
    if not isinstance(content, dict):
        raise _not_ours(root)
    return content, etag


def _not_ours(root: str) -> WrongRoot:
    return WrongRoot(f"{uri(root)}: is no pointer of fruitpipe's; give a --root of its own")


def _parsed(root: str, content: dict[str, Any] | None) -> Pointer | None:
    try:
        return _pointer(content) if content is not None and content["version"] is not None else None
    except (KeyError, TypeError, AttributeError) as error:
        raise _not_ours(root) from error


def _pointer(content: dict[str, Any]) -> Pointer:
    held, checked = content.get("held"), content.get("checked")
    return Pointer(
        content["version"],
        tuple(content["versions"]),
        Hold(**held) if held else None,
        content.get("switched_at"),
        content.get("checked_at"),
        Check(**checked) if checked else None,
    )


def _body(wanted: Pointer | None, newest: str | None) -> bytes:
    if wanted is None:
        return json.dumps({"version": None, NEWEST: newest}).encode()
    content = {
        "version": wanted.version,
        "reduced": f"reduced/{wanted.version}",
        "model": f"models/{wanted.version}",
        "versions": list(wanted.versions),
        NEWEST: newest,
        "held": asdict(wanted.held) if wanted.held else None,
        "switched_at": wanted.switched_at,
        "checked_at": wanted.checked_at,
        "checked": asdict(wanted.checked) if wanted.checked else None,
    }
    return json.dumps(content, indent=2).encode()

"""Brings a place in step with the version that readers get, or takes away what lies there; either is noted in the register."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from fruitpipe import objects
from fruitpipe.errors import Conflict, WrongUsage
from fruitpipe.export import dataset, lance_table, register, vector_index
from fruitpipe.export.described import Described
from fruitpipe.export.register import APP, DATASET, LANCE, VECTORS, Export
from fruitpipe.refit import publication, version_model


class Kind(Protocol):
    """What the kinds of copies have in common; a module is as good as an object."""

    def folder(self, place: str, described: Described, /) -> str: ...
    def check(self, new: Export, described: Described, *, is_known: bool) -> None: ...
    def write(self, new: Export, described: Described) -> tuple[int, str]: ...
    def remove(self, old: Export) -> None: ...


KINDS: dict[str, Kind] = {DATASET: dataset, VECTORS: vector_index, LANCE: lance_table}


class Published(NamedTuple):
    """What lies at a place then, and what was done for it."""

    export: Export
    rows: int
    done: str


def publish(root: str, to: str, title: str, license_: str) -> Published:
    """Has a place hold the current version: writes what is not there yet, and removes what is not of it.

    Raises NotFound where nothing is published, WrongUsage for a place that holds something else, Damaged, and Conflict where an
    erasure withdrew the version, or another run replaced it, meanwhile: then the register goes on naming it.
    """
    root, (kind, place) = objects.canonical(root), place_of(to)
    version = publication.current(root)
    publication.check_files(root, version)
    described = Described(root, version, version_model.load_facts(root, version), title, license_)
    new = Export(place, KINDS[kind].folder(place, described), version, kind)
    here = _here(root, place)
    KINDS[kind].check(new, described, is_known=new.folder in {one.folder for one in here})
    register.add(root, new)  # from here on an erasure names it
    rows, done = KINDS[kind].write(new, described)
    if not register.stands(root, new):
        register.add(root, new)  # another run may have forgotten it, and it lies there
        raise Conflict(f"{version} was withdrawn or replaced meanwhile, and {place} holds it; run the command again")
    for one in here:
        if one != new:
            _forget(root, one, is_removed=one.folder == new.folder)
    return Published(new, rows, done)


def take_away(root: str, to: str) -> list[Export]:
    """Removes what was published to a place, and forgets it. Raises WrongUsage where the register has nothing there."""
    root, (_, place) = objects.canonical(root), place_of(to)
    if not (here := _here(root, place)):
        others = sorted({one.place for one in register.every(root) if one.kind != APP})
        raise WrongUsage(f"nothing of {root} was published to {place}; its copies lie at: {', '.join(others) or 'none'}")
    for one in here:
        _forget(root, one)
    return here


def place_of(to: str) -> tuple[str, str]:
    """The kind of copy that a place is for, and the one spelling of its URI. Raises WrongUsage."""
    if to.startswith(vector_index.SCHEME):
        return VECTORS, vector_index.canonical(to)
    if to.rstrip("/").endswith(lance_table.ENDING):
        return LANCE, lance_table.canonical(to)
    return DATASET, objects.canonical(to)


def _here(root: str, place: str) -> list[Export]:
    return [one for one in register.at(root, place) if one.kind != APP]


def _forget(root: str, old: Export, *, is_removed: bool = False) -> None:
    if not is_removed:
        KINDS[old.kind].remove(old)
    register.drop(root, old)

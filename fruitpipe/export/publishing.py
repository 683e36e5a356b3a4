"""Brings a place in step with the version that readers get, or takes away what lies there; either is noted in the register."""

from __future__ import annotations

from typing import NamedTuple

from fruitpipe import objects
from fruitpipe.errors import Conflict, WrongUsage
from fruitpipe.export import dataset, register
from fruitpipe.export.described import Described
from fruitpipe.export.register import DATASET, Export
from fruitpipe.refit import publication, version_model


class Published(NamedTuple):
    """What lies at a place then, and what was done for it."""

    export: Export
    rows: int
    done: str


def publish(root: str, to: str, title: str, license_: str) -> Published:
    """Has a place hold the current version: writes what is not there yet, and removes what is not of it.

    Raises NotFound where nothing is published, WrongUsage for a place that holds something else, Damaged, and Conflict where an
    erasure withdrew the version meanwhile: then the register goes on naming it.
    """
    root, place = objects.canonical(root), objects.canonical(to)
    version = publication.current(root)
    publication.check_files(root, version)
    described = Described(root, version, version_model.load_facts(root, version), title, license_)
    dataset.check(root, place, is_known=any(one.kind == DATASET for one in register.at(root, place)))
    new = Export(place, "", version, DATASET)
    register.add(root, new)  # from here on an erasure names it
    found, written = dataset.write(place, described)
    if new in register.withdrawn(root):
        raise Conflict(f"{version} was withdrawn meanwhile, and {place} holds it; run the command again")
    _forget(root, place, except_for=new)
    return Published(new, sum(file.rows for file in found.files), f"{written} bytes of data written")


def take_away(root: str, to: str) -> list[Export]:
    """Removes what was published to a place, and forgets it. Raises WrongUsage where the register has nothing there."""
    root, place = objects.canonical(root), objects.canonical(to)
    if not (here := _here(root, place)):
        others = sorted({one.place for one in register.every(root) if one.kind != register.APP})
        raise WrongUsage(f"nothing of {root} was published to {place}; its copies lie at: {', '.join(others) or 'none'}")
    dataset.remove(place)
    _forget(root, place)
    return here


def _here(root: str, place: str) -> list[Export]:
    return [one for one in register.at(root, place) if one.kind != register.APP]


def _forget(root: str, place: str, except_for: Export | None = None) -> None:
    for one in _here(root, place):
        if one != except_for:
            register.drop(root, one)

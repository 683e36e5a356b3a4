"""What is known of a version that is copied: its facts, and, of a dataset folder, its files."""

from __future__ import annotations

from typing import Any, NamedTuple

from fruitpipe.refit import publication

DATA = "data"


class DataFile(NamedTuple):
    """A Parquet file of a dataset folder."""

    name: str
    length: int
    rows: int
    sha256: str

    @property
    def path(self) -> str:
        """In the folder."""
        return f"{DATA}/{self.name}"


class Described(NamedTuple):
    """A version, and what a dataset's card says of it. root: its canonical URI. facts: as `reduction.json` has them.

    license: empty for none.
    """

    root: str
    version: str
    facts: dict[str, Any]
    title: str
    license: str = ""
    files: tuple[DataFile, ...] = ()

    @property
    def folder(self) -> str:
        """The URI of the version's Parquet files."""
        return publication.reduced_uri(self.root, self.version)

    @property
    def basis(self) -> str:
        """The version whose components the vectors are of; those of one basis can be compared."""
        return str(self.facts.get("basis", self.version))

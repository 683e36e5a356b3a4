"""A version as a LanceDB table: FOLDER/NAME.lance is the database, and the version's name is that of its only table.

Each version is written whole as a table of its own, and the one before is removed after it. LanceDB would upsert and delete in
place, but a row that it deleted stays in its data file, and the condition in a file of the transaction, even after `optimize`
removed all old versions: what an erasure is to remove would be there.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import Conflict, MissingRequirement, PlatformFault, WrongUsage
from fruitpipe.export.place import check_outside
from fruitpipe.refit import version_files
from fruitpipe.table import vector_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fruitpipe.export.described import Described
    from fruitpipe.export.register import Export

ENDING = ".lance"


def canonical(to: str) -> str:
    """The one spelling of a database's folder. Raises WrongUsage for one in S3."""
    place = objects.canonical(to)
    if objects.is_s3(place):
        raise WrongUsage(f"{to}: a LanceDB table is written to a local folder; upload it with: aws s3 sync --delete")
    return place


def folder(_place: str, described: Described, /) -> str:
    """The folder of the version's table in that of the database."""
    return f"{described.version}{ENDING}"


def check(new: Export, described: Described, *, is_known: bool) -> None:
    """Raises WrongUsage where the table cannot be, or is there and not this root's; MissingRequirement without LanceDB."""
    check_outside(described.root, new.place)
    if not is_known and objects.exists(new.uri):
        raise WrongUsage(
            f"{new.uri} is there already, and not in the list of {described.root}; give another name, or remove it where it is "
            "this root's, whose list was lost"
        )
    _lancedb()


def write(new: Export, described: Described) -> tuple[int, str]:
    """Writes the version's table unless it is there; returns its rows, and what was done.

    Raises Damaged, PlatformFault, and Conflict where another run writes the same.
    """
    rows = version_files.verify(described.folder, described.facts)
    with _explained(new.uri):
        database = _lancedb().connect(new.place.removeprefix("file://"))
        if _rows_in(database, described.version) == rows:
            return rows, "0 rows written"
        remove(new)  # what an interrupted run left; LanceDB would keep its files beside the next one's
        schema = _schema(described)
        _create(database, described.version, pa.RecordBatchReader.from_batches(schema, _batches(described, schema)))
    return rows, f"{rows} rows written"


def remove(old: Export) -> None:
    """Removes the whole table."""
    objects.delete_all(old.uri)


def _rows_in(database: Any, name: str) -> int | None:
    """The rows of a table, which LanceDB commits in one step; None where it cannot be read.

    A column is read of each data file: `count_rows` would count those of files that are gone as well.
    """
    try:
        return sum(len(batch) for batch in database.open_table(name).search().select(["version"]).to_batches())
    except (ValueError, RuntimeError):
        return None


def _create(database: Any, name: str, rows: pa.RecordBatchReader) -> None:
    """Raises Conflict where another run made the table meanwhile; each may have removed what the other had begun."""
    try:
        database.create_table(name, rows)
    except ValueError as error:  # so LanceDB says of a table that is there
        raise Conflict(f"{database.uri}: {str(error).rstrip('.')}, as another run wrote there; run the command again") from error


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Translates errors of LanceDB and of the folder in the block: LanceDB raises RuntimeError for a disk that is full."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise PlatformFault(f"{uri}: LanceDB cannot write there ({str(error).splitlines()[0]}); give another place") from error


def _schema(described: Described) -> pa.Schema:
    """Vectors of one length, as LanceDB searches them, and the version that each row is of."""
    texts = [pa.field(name, pa.string()) for name in ("path", "label", "basis", "version")]
    return pa.schema([*texts, pa.field("pca_features", pa.list_(pa.float32(), described.facts["k"]))])


def _batches(described: Described, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for file in vector_files.listed(described.folder):
        for batch in vector_files.rows_at(file.uri, "pca_features"):
            path, label, numbers = batch.columns
            told = [pa.array([text] * len(batch)) for text in (described.basis, described.version)]
            yield pa.RecordBatch.from_arrays([path, label, *told, numbers.cast(schema.field("pca_features").type)], schema=schema)


def _lancedb() -> Any:
    try:
        import lancedb
    except ImportError as error:
        raise MissingRequirement("LanceDB is not installed; run: pip install 'fruitpipe[lance]'") from error
    return lancedb

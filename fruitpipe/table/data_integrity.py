"""Finds lost and damaged data files of the table: by their sizes in a listing, or by the checksum of each page."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fruitpipe.table.snapshot import DataFile, Snapshot

READERS = 4  # files read at once; each is held whole


class Loss(NamedTuple):
    """A data file that cannot be read, and why."""

    file: DataFile
    why: str

    def __str__(self) -> str:
        return f"{self.file.path} {self.why}, with {self.file.rows} rows"


def lost(table: Snapshot) -> list[Loss]:
    """The data files that are missing or have another size than the log says. One listing of the table's folder."""
    folder = table.uri
    sizes = {stat.path.removeprefix(f"{folder}/"): stat.length for stat in objects.list_all(folder)}
    found = ((file, _differs(file, sizes.get(file.path))) for file in table.files())
    return [Loss(file, why) for file, why in found if why]


def damaged(table: Snapshot) -> list[Loss]:
    """The data files that are missing, or whose pages do not read back as they were written. Reads every file whole."""
    gone = lost(table)
    there = [file for file in table.files() if file not in {loss.file for loss in gone}]
    with ThreadPoolExecutor(READERS, "fruitpipe-verify") as readers:
        found = readers.map(lambda file: (file, _unreadable(table, file)), there)
        return [*gone, *(Loss(file, why) for file, why in found if why)]


def verify(body: bytes) -> int:
    """Reads a Parquet file whole, against the checksum of each page, and returns its rows. Raises ArrowException or OSError."""
    import pyarrow.parquet as pq  # most checks look at names and sizes alone

    file = pq.ParquetFile(io.BytesIO(body), page_checksum_verification=True)
    return sum(batch.num_rows for batch in file.iter_batches(use_threads=False))


def rows_lost(losses: Sequence[Loss]) -> int:
    """How many rows the lost files held."""
    return sum(loss.file.rows for loss in losses)


def _differs(file: DataFile, there: int | None) -> str | None:
    if there is None:
        return "is missing"
    return None if there == file.size_bytes else f"has {there} bytes in place of {file.size_bytes}"


def _unreadable(table: Snapshot, file: DataFile) -> str | None:
    try:
        rows = verify(objects.read(objects.join(table.uri, file.path)))
    except NotFound:
        return "is missing"
    except (pa.ArrowException, OSError) as error:
        return f"does not read back ({str(error).splitlines()[0]})"
    return None if rows == file.rows or not file.rows else f"holds {rows} rows in place of {file.rows}"

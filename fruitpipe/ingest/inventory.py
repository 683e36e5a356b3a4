"""A report of S3 Inventory in place of a listing: what a bucket held when S3 began to make it, in CSV, ORC or Parquet.

S3 writes it once a day or a week, for a fraction of what the requests of a listing cost. It consists of a manifest, which names
its columns, and of data files in the folder beside the manifest's. Each is fetched into a file of this machine's, compared with
the MD5 that the manifest has, and read a batch at a time.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from typing import IO, Any
from urllib.parse import unquote_plus

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import Damaged, WrongUsage
from fruitpipe.objects.storage_classes import is_archived
from fruitpipe.output import one_line
from fruitpipe.runtime import local_folders

MANIFEST = "manifest.json"
NEEDED = ("key", "size", "etag")
TIER = "intelligenttieringaccesstier"
READ = (*NEEDED, "storageclass", TIER, "islatest", "isdeletemarker")
BATCH = 50_000  # rows of a report in memory at a time
PIECE_BYTES = 16_000_000  # fetched with a request
TYPES = {"size": pa.int64(), "islatest": pa.bool_(), "isdeletemarker": pa.bool_()}  # of CSV's; all others are text


@dataclass(frozen=True)
class Inventory:
    """A report. made: when S3 began to make it. columns: their names in order. files: URI, length in bytes and MD5 of each."""

    uri: str
    bucket: str
    made: datetime
    format: str
    columns: tuple[str, ...]
    files: tuple[tuple[str, int, str], ...]

    @classmethod
    def load(cls, uri: str, images: str) -> Inventory:
        """Reads the manifest. Raises WrongUsage for what is none, or lacks a column, or is of another bucket than `images`."""
        try:
            told = json.loads(objects.read(uri))
            beside = f"{uri.rsplit('/', 2)[0]}/data"
            found = cls(
                uri,
                told["sourceBucket"],
                datetime.fromtimestamp(int(told["creationTimestamp"]) / 1000, UTC),
                told["fileFormat"],
                columns(told["fileFormat"], told["fileSchema"]),
                tuple((objects.join(beside, objects.name(one["key"])), one["size"], one["MD5checksum"]) for one in told["files"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise WrongUsage(f"{uri}: is no manifest of S3 Inventory; give the URI of its {MANIFEST}") from error
        found.check(images)
        return found

    def check(self, images: str) -> None:
        """Raises WrongUsage for a report that cannot stand for a listing of `images`."""
        if not objects.is_s3(images) or objects.bucket(images) != self.bucket:
            raise WrongUsage(f"{self.uri}: is of the bucket {self.bucket}; give one of the bucket of --images {images}")
        if missing := [name for name in NEEDED if name not in map(plain, self.columns)]:
            raise WrongUsage(f"{self.uri}: has no {', '.join(missing)}; have the inventory made with Size and ETag")
        if self.format not in READERS:
            raise WrongUsage(f"{self.uri}: has the format {self.format}; give one of {', '.join(READERS)}")

    def stats(self, images: str) -> Iterator[objects.Stat]:
        """Every object below `images`, or at it, as a listing has them; of several versions the current one.

        Raises Damaged for a data file that is not the one that the manifest names, WrongUsage where no object is below `images`.
        """
        found = False
        for uri, length, checksum in self.files:
            with fetched(uri, length, checksum) as file:
                try:
                    for stat in _stats(self, file):
                        if stat.path == images or stat.path.startswith(f"{images}/"):
                            found = True
                            yield stat
                except pa.ArrowInvalid as error:
                    raise Damaged(
                        f"{uri}: is not what the inventory's manifest says ({one_line(str(error))}); give another report"
                    ) from error
        if not found:
            raise WrongUsage(f"{self.uri}: names no object below {images}; was it made for another prefix?")


def plain(column: str) -> str:
    """A column's name as all formats have it: ``ETag`` and ``e_tag`` → ``etag``."""
    return column.replace("_", "").lower()


def columns(format_: str, schema: str) -> tuple[str, ...]:
    """The columns' names by the manifest's schema: a list for CSV, ``struct<name:type,…>`` for ORC, a message for Parquet."""
    if format_ == "CSV":
        return tuple(name.strip() for name in schema.split(","))
    return tuple(re.findall(r"(\w+):" if format_ == "ORC" else r"(\w+)\s*(?:\([^)]*\)+)?\s*;", schema))


def fetched(uri: str, length: int, checksum: str) -> IO[bytes]:
    """The file, on the local disk and without a name there. Raises Damaged where its MD5 is another."""
    pieces, found = objects.opened(objects.Stat(uri, "", length, datetime.now(UTC))), md5(usedforsecurity=False)
    with local_folders.explained():
        file = tempfile.TemporaryFile(dir=local_folders.own())  # noqa: SIM115 - the caller's
    while piece := pieces.read(PIECE_BYTES):
        with local_folders.explained():
            file.write(piece)
        found.update(piece)
    if found.hexdigest() != checksum.lower():
        file.close()
        raise Damaged(f"{uri}: has not the MD5 that the inventory's manifest names; give another report, or copy this one again")
    file.seek(0)
    return file


def _stats(inventory: Inventory, file: IO[bytes]) -> Iterator[objects.Stat]:
    has_class = "storageclass" in map(plain, inventory.columns)  # else nobody can tell whether an object is archived
    for batch in READERS[inventory.format](file, inventory.columns):
        rows = pa.Table.from_batches([batch]).rename_columns([plain(name) for name in batch.schema.names])
        for row in rows.to_pylist():
            if row.get("islatest") is False or row.get("isdeletemarker") or row["key"].endswith("/"):
                continue
            key = unquote_plus(row["key"]) if inventory.format == "CSV" else row["key"]
            shut = is_archived(row.get("storageclass"), row.get(TIER)) if has_class else None
            yield objects.Stat(
                f"s3://{inventory.bucket}/{key}", (row["etag"] or "").strip('"'), row["size"], inventory.made, shut
            )


def _wanted(names: tuple[str, ...] | list[str]) -> list[str]:
    return [name for name in names if plain(name) in READ]


def _of_csv(file: IO[bytes], names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    from pyarrow import csv

    types = {name: TYPES.get(plain(name), pa.string()) for name in names}
    wanted = csv.ConvertOptions(column_types=types, include_columns=_wanted(names))
    packed: Any = file
    unpacked: Any = pa.CompressedInputStream(packed, "gzip")
    yield from csv.open_csv(unpacked, csv.ReadOptions(column_names=list(names)), convert_options=wanted)


def _of_orc(file: IO[bytes], _: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    from pyarrow import orc

    report = orc.ORCFile(file)
    for stripe in range(report.nstripes):
        read = report.read_stripe(stripe, _wanted(report.schema.names))
        yield from pa.Table.from_batches([read]).to_batches(max_chunksize=BATCH)


def _of_parquet(file: IO[bytes], _: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    report = parquet.ParquetFile(file)
    yield from report.iter_batches(BATCH, columns=_wanted(report.schema_arrow.names))


Reader = Callable[[IO[bytes], tuple[str, ...]], Iterator[pa.RecordBatch]]
READERS: dict[str, Reader] = {"CSV": _of_csv, "ORC": _of_orc, "Parquet": _of_parquet}

"""Lists the images that could not be featurised, with reasons, and has the stream look at them again."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.output import cell
from fruitpipe.root import manifests
from fruitpipe.table import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fruitpipe.table.snapshot import Snapshot


class ErrorRow(NamedTuple):
    """The row of an image without features. ingested_at: when the stream last tried."""

    path: str
    label: str
    error: str
    error_message: str
    length: int | None
    ingested_at: datetime


def find(table: Snapshot, reason: str | None = None, label: str | None = None, limit: int | None = None) -> list[ErrorRow]:
    """The rows with an error, by path; all of them without a limit. Files whose statistics show no error are not read."""
    filters = {"error": reason, "label": label}
    chosen = [f"{column} = {snapshot.text(value)}" for column, value in filters.items() if value is not None]
    columns, where = ", ".join(ErrorRow._fields), " AND ".join(["error IS NOT NULL", *chosen])
    most = f" LIMIT {limit}" if limit else ""
    rows = table.query(f"SELECT {columns} FROM features WHERE {where} ORDER BY path{most}")  # noqa: S608 - values are quoted
    return [ErrorRow(**row) for row in rows]


def to_csv(rows: Iterable[ErrorRow]) -> bytes:
    """A header and a line a row; times in ISO 8601, in UTC. A name that cannot be printed is a JSON string."""
    body = io.StringIO()
    writer = csv.writer(body, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(ErrorRow._fields)
    writer.writerows((*map(cell, row[:4]), row.length, row.ingested_at.isoformat()) for row in rows)
    return body.getvalue().encode()


def to_dict(row: ErrorRow) -> dict[str, object]:
    """A row, ready for JSON."""
    return row._asdict() | {"ingested_at": row.ingested_at.isoformat()}


def retry(root: str, rows: Iterable[ErrorRow]) -> int:
    """Writes manifests that have the stream look at these images again, and returns how many images they name.

    The object store decides: an image with other bytes is computed again, one that was unreadable or archived is read again. The
    same bytes are decoded again where another limit or version may give them features; else they keep their reason.
    """
    now = datetime.now(UTC)
    named = [manifests.ImageEvent("created", row.path, event_time=now) for row in rows]
    for body in manifests.manifests(named):
        objects.write(manifests.manifest_uri(objects.canonical(root), now, manifests.manifest_name("retry", now, body)), body)
    return len(named)

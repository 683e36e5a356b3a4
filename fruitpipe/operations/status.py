"""Collects the state of a root: the table, the last batch, the published versions, and the bytes stored.

Reads Delta's log, a few scalar columns and a listing; no Spark.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fruitpipe import objects
from fruitpipe.errors import Damaged
from fruitpipe.output import to_json
from fruitpipe.refit import pointer, publication, version_model
from fruitpipe.root import layout
from fruitpipe.table import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from fruitpipe.refit.pointer import Pointer
    from fruitpipe.table.snapshot import Snapshot

SIZES_SECONDS = 60.0  # from one listing of all that is stored to the next: one costs a request for each 1,000 objects
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LastBatch:
    """The last commit of rows. Lags in seconds: from an image's upload to its row, over the rows that the commit brought.

    images: how many were looked at. outcomes: images by outcome, as the stream prints them; empty for a commit of an old version.
    """

    committed_at: str
    age_seconds: float
    images: int
    outcomes: dict[str, int]
    median_lag_seconds: float | None
    largest_lag_seconds: float | None


@dataclass(frozen=True)
class Version:
    """A published version of the reduced features."""

    version: str
    current: bool
    k: int
    variance_kept: float
    rows: int
    created_at: str
    report: str | None
    rows_set_aside: int = 0


@dataclass(frozen=True)
class Status:
    """All that `fruitpipe status` tells; its fields are those of ``--json``.

    images: rows of the table. labels: images by label, good and bad. errors: images by reason. not_in_current: good rows that
    the current version does not have yet; those that it set aside are none of them. held_since: when the rollback was made that
    still holds. storage_bytes: by folder under the root, whatever version they belong to. damaged: what is missing or cut of the
    table and of the current version; not looked for where `sizes` spares the listing.
    """

    root: str
    at: str
    features_version: int
    images: int
    featurised: int
    failed: int
    not_in_current: int
    labels: dict[str, int]
    errors: dict[str, int]
    extractors: dict[str, int]
    last_batch: LastBatch | None
    current: str | None
    held_since: str | None
    versions: list[Version]
    storage_bytes: dict[str, int]
    damaged: list[str]

    def to_json(self) -> str:
        """The status as one JSON object."""
        return to_json(asdict(self), indent=2)


class Sizes:
    """The result of `storage`, listed again once a minute at most: for `--watch`, which asks every few seconds."""

    def __init__(self, root: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock = root, clock
        self._listed_at: float | None = None
        self._sizes: dict[str, int] = {}

    def __call__(self) -> dict[str, int]:
        if self._listed_at is None or self._clock() - self._listed_at >= SIZES_SECONDS:
            self._listed_at, self._sizes = self._clock(), storage(self._root)
        return self._sizes


def of(table: Snapshot, now: datetime | None = None, sizes: Callable[[], dict[str, int]] | None = None) -> Status:
    """The state of the root at this moment. sizes: returns `storage_bytes`, where it should not be listed each time."""
    now = now or datetime.now(UTC)
    counts = table.query("SELECT label, error, extractor, count(*) AS images FROM features GROUP BY label, error, extractor")
    labels, errors, extractors = (_totals(counts, column) for column in ("label", "error", "extractor"))
    images, failed = sum(labels.values()), sum(errors.values())
    found = pointer.find(table.root)
    versions = published(table.root, found) if found else []
    current = next((version for version in versions if version.current), None)
    return Status(
        root=table.root,
        at=now.isoformat(timespec="seconds"),
        features_version=table.version,
        images=images,
        featurised=images - failed,
        failed=failed,
        not_in_current=max(0, images - failed - (current.rows + current.rows_set_aside if current else 0)),
        labels=labels,
        errors=errors,
        extractors=extractors,
        last_batch=last_batch(table, now),
        current=current.version if current else None,
        held_since=found.held.since if found and found.held else None,
        versions=versions,
        storage_bytes=(sizes or Sizes(table.root))(),
        damaged=[] if sizes else damaged(table, current.version if current else None),
    )


def damaged(table: Snapshot, current: str | None) -> list[str]:
    """The missing or cut files of the table and of the current version, by names and sizes. Costs two listings."""
    checks: list[Callable[[], object]] = [table.check_whole]
    if current:
        checks.append(lambda: publication.check_files(table.root, current))
    return [str(error) for error in map(_failure, checks) if error]


def _failure(check: Callable[[], object]) -> Damaged | None:
    try:
        check()
    except Damaged as error:
        return error
    return None


def last_batch(table: Snapshot, now: datetime) -> LastBatch | None:
    """The stream's last commit of rows; None where it is older than the last entries of the log.

    Its rows are those ingested after the commit before: statistics of `ingested_at` leave all other files unread.
    """
    commits = table.batches()
    if not commits:
        return None
    before = commits[1].at if len(commits) > 1 else EPOCH
    waited = "(arrow_cast(ingested_at, 'Int64') - arrow_cast(modification_time, 'Int64')) / 1000000.0"
    arrivals = f"SELECT {waited} AS lag FROM features WHERE ingested_at > {snapshot.timestamp(before)}"  # noqa: S608 - our own time
    (row,) = table.query(f"SELECT count(*) AS images, median(lag) AS middle, max(lag) AS most FROM ({arrivals}) AS arrivals")  # noqa: S608
    _, at, outcomes = commits[0]
    age = (now - at) / timedelta(seconds=1)
    images = sum(outcomes.values()) or row["images"]
    return LastBatch(at.isoformat(timespec="seconds"), age, images, outcomes, row["middle"], row["most"])


def published(root: str, found: Pointer) -> list[Version]:
    """The versions that the pointer lists, oldest first; reads a small object for each."""
    reports = set(objects.children(layout.folder(root, "reports")))
    return [_version(root, name, found.version, reports) for name in found.versions]


def storage(root: str) -> dict[str, int]:
    """Bytes below the root by folder, the largest first. Lists everything: one request of S3 for 1,000 objects."""
    sizes: Counter[str] = Counter()
    for stat in objects.list_all(root):
        folder, separator, _ = stat.path.removeprefix(f"{root}/").partition("/")
        sizes[folder if separator else "other"] += stat.length
    return dict(sizes.most_common())


def _version(root: str, name: str, current: str, reports: set[str]) -> Version:
    facts = version_model.load_facts(root, name)
    report = f"{name}.html"
    at = objects.join(layout.folder(root, "reports"), report) if report in reports else None
    told = facts["k"], facts["variance_kept"], facts["rows"], facts["created_at"]
    return Version(name, name == current, *told, at, facts.get("rows_set_aside", 0))


def _totals(counts: list[dict[str, Any]], column: str) -> dict[str, int]:
    """Images by what stands in `column`, without those where nothing does; the most frequent first, then by name."""
    totals: Counter[str] = Counter()
    for row in counts:
        if row[column] is not None:
            totals[row[column]] += row["images"]
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))

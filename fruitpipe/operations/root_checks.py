"""The doctor's checks below a root: the table with its files, manifests that wait, erasures, and the published versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.errors import Damaged, PlatformFault
from fruitpipe.export import register as exports
from fruitpipe.ingest import checkpoint, waiting_manifests
from fruitpipe.refit import pointer, publication, rollback, version_files, version_model
from fruitpipe.table import data_integrity, log_files, requirements
from fruitpipe.table.snapshot import REPAIR, Snapshot

if TYPE_CHECKING:
    from fruitpipe.erasure.record import Erasure
    from fruitpipe.export.register import Export

DUE_CHECKPOINTS = 3  # so many missing ones are no coincidence
OLD = timedelta(days=1)  # a stream reads a manifest within seconds, and who runs one by hand does so within a day


class Ages(NamedTuple):
    """How many manifests wait, how many of them for over an hour and over a day, and since when the oldest does."""

    number: int
    over_an_hour: int
    over_a_day: int
    oldest: datetime | None


def table(root: str, *, verify: bool = False) -> str:
    """Checks the table's log and properties, and the size of each data file; with `verify` reads every page, too.

    Raises NotFound, WrongRoot, Damaged; PlatformFault where Delta's checkpoints no longer come.
    """
    found = Snapshot(root)
    log_files.check(found.uri)
    losses = data_integrity.damaged(found) if verify else data_integrity.lost(found)
    if losses:
        named = "; ".join(map(str, losses[:5])) + (f"; and {len(losses) - 5} more" if losses[5:] else "")
        raise Damaged(f"{found.uri}: {named}; {REPAIR.format(root=root)}")
    requirements.check(found)
    behind = log_files.commits_since_checkpoint(found.uri)
    interval = found.checkpoint_interval
    if behind > DUE_CHECKPOINTS * interval:
        raise PlatformFault(
            f"{found.uri}: {behind} commits since the last checkpoint, and one is due every {interval}; "
            "the job's output, or Spark's log, says why none could be written"
        )
    files = found.files()
    size, rows = sum(file.size_bytes for file in files), sum(file.rows for file in files)
    held = f"{rows} rows in {len(files)} files of {size / 1e6:.1f} MB, {'every page as written' if verify else 'all there'}"
    return f"version {found.version}, {held}; {behind} commits since a checkpoint"


def waiting(root: str) -> str:
    """Counts the manifests that the stream has not read, by age. Raises PlatformFault where some are old."""
    ages = ages_of_waiting(root, datetime.now(UTC))
    if ages.over_a_day:
        raise PlatformFault(
            f"{ages.over_a_day} of {ages.number} manifests wait for over a day, the oldest since {ages.oldest:%Y-%m-%d %H:%M} UTC"
        )
    return f"{ages.number} wait, {ages.over_an_hour} of them for over an hour"


def ages_of_waiting(root: str, now: datetime) -> Ages:
    """The ages of the manifests that no committed batch has read."""
    uris = set(waiting_manifests.unread(root, checkpoint.place(root)))
    folder = objects.join(root, "events")
    times = sorted(stat.modification_time for stat in objects.list_all(folder) if stat.path in uris)
    hour, day = (sum(now - time > age for time in times) for age in (timedelta(hours=1), OLD))
    return Ages(len(times), hour, day, times[0] if times else None)


def erasures(root: str) -> str:
    """Counts the erasures, and tells the longest time from a request until its images were gone from all that readers get.

    An app or a copy of a version that an erasure withdrew answers as before until it is written again. Raises PlatformFault where
    a request or such a one waits for over a day, or where a request is incomplete; Damaged where their list does not read back.
    """
    records, now = register.every(root), datetime.now(UTC)
    waiting = [one for one in records if one.status != "done" and one.carried_out_at is None]
    if late := [one for one in waiting if now - datetime.fromisoformat(one.requested_at) > OLD]:
        once = f"fruitpipe ingest --images URI --root {root}"
        raise PlatformFault(f"{len(late)} erasures wait for over a day; have them carried out: {once}")
    if left := [one.id for one in records if one.status == "incomplete"]:
        named = ", ".join(f"erasures/{name}.json" for name in left[:5])
        raise PlatformFault(f"{len(left)} erasures are incomplete; under {root} their records say what is left: {named}")
    if answering := _answering(root, records):
        named = ", ".join(one.uri for one in answering[:5])
        raise PlatformFault(
            f"{len(answering)} apps or published copies are of versions that an erasure withdrew over a day ago, and answer as "
            f"before: {named}; {answering[0].way_out.replace('ROOT', root)}; take those that are gone out of models/exports.json"
        )
    took = [
        datetime.fromisoformat(one.carried_out_at) - datetime.fromisoformat(one.requested_at)
        for one in records
        if one.carried_out_at
    ]
    longest = f"; readers got none of the images after {max(took).total_seconds():.0f} s at most" if took else ""
    pending = sum(one.status != "done" for one in records)
    return f"{pending} pending, {len(records) - pending} with a certificate{longest}"


def _answering(root: str, records: Sequence[Erasure]) -> list[Export]:
    """Apps and published copies of versions that an erasure withdrew over a day ago."""
    before = datetime.now(UTC) - OLD
    old = [one for one in records if one.carried_out_at and datetime.fromisoformat(one.carried_out_at) < before]
    withdrawn = {version for one in old for version in one.withdrawn}
    return [one for one in exports.withdrawn(root) if one.version in withdrawn] if withdrawn else []


def published(root: str, *, verify: bool = False) -> str:
    """Checks each published version's model and files; with `verify`, or for a version without a list of files, counts its rows.

    Raises NotFound, Damaged.
    """
    found = pointer.get(root)
    for version in found.versions:
        facts, folder = version_model.load_model(root, version).facts, publication.reduced_uri(root, version)
        if facts.get("classifier"):
            version_model.load_classifier(root, version)
        if verify or version_files.FILES not in facts:
            version_files.verify(folder, facts)
        else:
            version_files.check(folder, facts)
    rows = version_model.load_facts(root, found.version)["rows"]
    held = f"; {rollback.told(found, root)}" if found.held else ""
    return f"{found.version} of {rows} rows, of {len(found.versions)} published, each whole{held}"

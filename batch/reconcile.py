"""The safety net: lists the image prefix, compares it with the features table, and writes manifests for what differs.

Listings and events both miss things: Spark's file source never reports an overwritten image, an empty file or a hidden name,
and S3's events may fail to come. What this job finds reaches the table through the stream, its only writer.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fruitpipe import events, job, layout, names, objects, session, tables
from fruitpipe.errors import RemovalsRefused
from fruitpipe.extractor import Model, fingerprint
from fruitpipe.settings import ReconcileSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

REMOVALS_SHARE = 0.1  # a listing that lacks more of the rows than this is taken for a wrong prefix or a lost mount


@dataclass(frozen=True)
class Plan:
    """The paths that differ between bucket and table, by what is the matter with them."""

    new: list[str]
    changed: list[str]
    gone: list[str]
    stale: list[str]  # features of another extractor
    unreadable: list[str]  # to be looked at again
    rows: int

    def __str__(self) -> str:
        counts = {field: len(getattr(self, field)) for field in ("new", "changed", "gone", "stale", "unreadable")}
        return ", ".join(f"{count} {field}" for field, count in counts.items())

    def events(self) -> Iterator[events.ImageEvent]:
        """What the stream is to look at."""
        for path in (*self.new, *self.changed, *self.stale, *self.unreadable):
            yield events.ImageEvent("created", path)
        for path in self.gone:
            yield events.ImageEvent("removed", path)


def reconcile(settings: ReconcileSettings) -> None:
    """Prints the plan and, unless it is a dry run, writes its manifests."""
    layout.check(settings.root)
    extractor = fingerprint(Model.load(settings.model, settings.extractor))
    listed = list_images(settings)
    spark = session.open("fruitpipe reconcile", settings.images, settings.root)
    with session.explained():
        plan = compare(listed, table_rows(spark, settings.root), extractor)
    print(f"reconcile: {plan}", flush=True)
    if settings.dry_run:
        return
    check_removals(plan, settings)
    print(f"reconcile: {write_manifests(settings.root, plan)} manifests written", flush=True)


def list_images(settings: ReconcileSettings) -> pa.Table:
    """`path` and `etag` of every image under the prefix."""
    counts = names.matcher(settings.glob)
    stats = [stat for stat in objects.list_all(settings.images) if counts.match(objects.name(stat.path))]
    return pa.table(
        {
            "path": pa.array([stat.path for stat in stats], pa.string()),
            "etag": pa.array([stat.etag for stat in stats], pa.string()),
        }
    )


def table_rows(spark: SparkSession, root: str) -> pa.Table:
    """`path`, `etag`, `extractor` and `error` of every row, nothing else: some 200 bytes a row on the driver."""
    tables.version(spark, root)
    return tables.rows(spark, root).select("path", "etag", "extractor", "error").toArrow()


def compare(listed: pa.Table, rows: pa.Table, extractor: str) -> Plan:
    """What differs between `listed` (path, etag) and `rows` (path, etag, extractor, error). O(n) hash join in Arrow."""
    content = pc.replace_substring_regex(
        rows["etag"].cast(pa.string()), pattern="@.*$", replacement=""
    )  # listings tell no version id
    rows = rows.set_column(1, "row_etag", content).append_column("in_table", pa.array([True] * len(rows), pa.bool_()))
    both = listed.append_column("listed", pa.array([True] * len(listed), pa.bool_())).join(rows, "path", join_type="full outer")
    there, kept = pc.is_valid(both["listed"]), pc.is_valid(both["in_table"])
    unreadable = pc.fill_null(pc.equal(both["error"], "unreadable"), False)
    stale = pc.fill_null(pc.not_equal(both["extractor"], extractor), False)
    changed = pc.fill_null(pc.not_equal(both["etag"], both["row_etag"]), True)
    same_place = pc.and_(there, kept)
    chosen = {
        "new": pc.and_(there, pc.invert(kept)),
        "gone": pc.and_(kept, pc.invert(there)),
        "unreadable": pc.and_(same_place, unreadable),
        "stale": pc.and_(same_place, pc.and_(stale, pc.invert(unreadable))),
        "changed": pc.and_(same_place, pc.and_(changed, pc.invert(pc.or_(stale, unreadable)))),
    }
    return Plan(**{kind: sorted(both["path"].filter(mask).to_pylist()) for kind, mask in chosen.items()}, rows=len(rows))


def check_removals(plan: Plan, settings: ReconcileSettings) -> None:
    """Raises RemovalsRefused where so many images are gone that the listing is more likely wrong than they are."""
    if len(plan.gone) > REMOVALS_SHARE * plan.rows and not settings.allow_removals:
        raise RemovalsRefused(
            f"{settings.images}: {len(plan.gone)} of {plan.rows} images in the table are not there, more than a tenth; "
            "nothing was written. Check --images, or say --allow-removals"
        )


def write_manifests(root: str, plan: Plan) -> int:
    """Writes the plan's events where the stream reads them and returns the number of manifests."""
    now = datetime.now(UTC)
    bodies = list(events.manifests(plan.events()))
    for body in bodies:
        objects.write(events.manifest_uri(root, now, events.manifest_name("reconcile", now, body)), body)
    return len(bodies)


if __name__ == "__main__":
    sys.exit(job.run(reconcile, ReconcileSettings))

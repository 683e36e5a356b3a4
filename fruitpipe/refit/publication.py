"""Versions of the reduced features: each in folders of its own, the current one named by a pointer that is switched last.

    <root>/models/v000012/    reduction.npz, reduction.json, explained_variance.csv, classifier.npz
    <root>/reduced/v000012/   part-*.parquet
    <root>/reports/v000012.html
    <root>/reduced/latest.json  {"version": "v000012", "versions": ["v000011", "v000012"], "held": null, …}

S3 has no atomic rename, so nothing is ever moved: a folder that `latest.json` does not list is not published, whatever it
holds. All writes of the pointer are conditional on its etag, so that of two writers one is told.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.classifier.classifier import Classifier
from fruitpipe.errors import Conflict, WrongUsage
from fruitpipe.reduction.pca import Reduction
from fruitpipe.refit import pointer, version_files, version_model
from fruitpipe.refit.pointer import Pointer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pyspark.sql import DataFrame, SparkSession

CLAIM_ATTEMPTS = 8
NAME = re.compile(r"v(\d{6,})/")
# A run's claim to its number: two runs that start together take different ones.
CLAIM = "claim.json"
# The sign of a version that was withdrawn, in its model's folder: its files stay for those who have them open.
WITHDRAWN = "withdrawn.json"


def reduced_uri(root: str, version: str) -> str:
    """The folder of a version's Parquet files."""
    return objects.join(root, "reduced", version)


def report_uri(root: str, version: str) -> str:
    """Where a version's report lies."""
    return objects.join(root, "reports", f"{version}.html")


def versions(root: str) -> list[str]:
    """The published versions, oldest first."""
    found = pointer.find(root)
    return list(found.versions) if found else []


def current(root: str) -> str:
    """The version that readers get. Raises NotFound where nothing is published yet."""
    return pointer.get(root).version


def claim(root: str) -> str:
    """A new version's name, higher than any before and taken by no other run, whether those ended or not."""
    root = objects.canonical(root)
    numbers = [pointer.last(root), *(pointer.number(version) for version in (*_folders(root), *versions(root)))]
    for number in range(max(numbers, default=0) + 1, max(numbers, default=0) + 1 + CLAIM_ATTEMPTS):
        version = f"v{number:06d}"
        body = json.dumps({"began_at": datetime.now(UTC).isoformat()}).encode()
        try:
            objects.write(objects.join(version_model.model_uri(root, version), CLAIM), body, if_absent=True)
        except Conflict:  # another run began at the same moment
            continue
        return version
    raise Conflict(f"{root}: {CLAIM_ATTEMPTS} other refits began at the same moment; run one at a time")


@contextmanager
def attempt(root: str) -> Iterator[str]:
    """A new version's name; what is written for it is removed at the end of the block, unless `switch` published it.

    Raises Conflict where a version that began later was published meanwhile: that then is the reason, whatever broke.
    """
    version = claim(root)
    try:
        yield version
    finally:
        found = pointer.find(root)
        if found is None or version not in found.versions:
            discard(root, version)
            _check_not_overtaken(version, found)


def check_files(root: str, version: str) -> None:
    """Raises Damaged where a Parquet file of a version is missing or cut. One listing."""
    version_files.check(reduced_uri(objects.canonical(root), version), version_model.load_facts(root, version))


def load_reduction(root: str, version: str | None = None) -> Reduction:
    """The current reduction, or that of a published version: `.transform((n, 1280))` gives (n, k). Needs no Spark.

    Raises NotFound where nothing is published yet.
    """
    return version_model.load_model(root, version or current(root)).reduction


def load_classifier(root: str, version: str | None = None) -> Classifier:
    """The current classifier, or that of a published version: `.identify((n, 1280))` gives n answers. Needs no Spark.

    Raises NotFound where nothing is published yet, or by an earlier fruitpipe; NotEnoughRows where the labels allow none.
    """
    return version_model.load_classifier(root, version or current(root))


def read_reduced(spark: SparkSession, root: str, version: str | None = None) -> DataFrame:
    """`path`, `label` and `pca_features` of the current version, or of a published one, each row with its `version`.

    Raises NotFound where nothing is published yet, Damaged rather than to give other rows than were published.
    """
    from pyspark.sql.functions import lit  # plain Python reads reductions without Spark

    chosen = version or current(root)
    folder, facts = reduced_uri(objects.canonical(root), chosen), version_model.load_facts(root, chosen)
    version_files.check(folder, facts)
    reduced = spark.read.parquet(objects.for_spark(folder))
    if version_files.FILES not in facts:
        version_files.check_rows(folder, reduced.count(), facts)
    return reduced.withColumn("version", lit(chosen))


def switch(root: str, version: str) -> Pointer:
    """Publishes a version, whose files are all written and checked, and makes it the current one unless a rollback holds.

    Returns what the pointer says then. Raises Conflict where a version that began later is published already: an earlier one
    never replaces it.
    """
    at = pointer.now()

    def add(found: Pointer | None) -> Pointer:
        _check_not_overtaken(version, found)
        if found is None:
            return Pointer(version, (version,), switched_at=at)
        published = replace(found, versions=found.versions if version in found.versions else (*found.versions, version))
        return published if found.held else replace(published, version=version, switched_at=at)

    return pointer.update(root, add)


def confirm(root: str, version: str, features_version: int) -> None:
    """Notes that a refit looked, and that `version` has all rows of the table's `features_version`.

    So who watches sees refits at work, and the next refit needs the table's changes since then and no older ones.
    """
    at, checked = pointer.now(), pointer.Check(version, features_version)
    pointer.update(root, lambda found: found and replace(found, checked_at=at, checked=checked))


def prune(root: str, keep: int) -> list[str]:
    """Unpublishes and removes all but the newest `keep` versions and the current one; returns those removed.

    A reader that opened a removed version before may lose it: keep at least 2 where readers take their time.
    Raises WrongUsage for `keep` below 1, NotFound where nothing is published yet.
    """
    if keep < 1:
        raise WrongUsage(f"keep {keep}: at least 1 version stays")
    before = pointer.get(root)
    after = pointer.update(root, lambda found: found and _with_newest(found, keep))
    unpublished = [version for version in before.versions if after is None or version not in after.versions]
    gone = [version for version in unpublished if not _is_withdrawn(root, version)]
    for version in gone:
        discard(root, version)
    return gone


def withdraw(root: str, wrong: Collection[str]) -> None:
    """Unpublishes versions, whose files stay for those who have them open, until `discard`.

    Where the current one is among them, the newest of the others takes its place; without any, nothing is published any more.
    A version that another run publishes meanwhile is one of the others.
    """
    at = pointer.now()

    def without(found: Pointer | None) -> Pointer | None:
        left = tuple(version for version in found.versions if version not in wrong) if found else ()
        if not found or not left:
            return None
        if found.version in left:
            return replace(found, versions=left)
        return replace(found, version=max(left, key=pointer.number), versions=left, switched_at=at)

    for version in set(wrong).intersection(versions(root)):
        objects.write(objects.join(version_model.model_uri(root, version), WITHDRAWN), b"{}")
    pointer.update(root, without)


def sweep(root: str) -> list[str]:
    """Removes what runs left behind that ended before they published; returns the versions' names.

    Only numbers below the newest published version are swept: those can never be published any more, so that a run which
    is still at work loses nothing that it could use. Withdrawn versions stay.
    """
    root = objects.canonical(root)
    published = versions(root)
    newest = max((pointer.number(version) for version in published), default=0)
    below = sorted(version for version in _folders(root) if version not in published and pointer.number(version) < newest)
    left = [version for version in below if not _is_withdrawn(root, version)]
    for version in left:
        discard(root, version)
    return left


def unpublished(root: str) -> list[str]:
    """The versions that have files and are not published, or not any more."""
    return sorted(_folders(objects.canonical(root)) - set(versions(root)))


def withdrawn(root: str) -> list[str]:
    """The versions that were withdrawn and not removed yet."""
    return [version for version in unpublished(root) if _is_withdrawn(root, version)]


def discard(root: str, version: str) -> None:
    """Removes the files of a version that is not published, the claim last."""
    root = objects.canonical(root)
    objects.delete(report_uri(root, version))
    objects.delete_all(reduced_uri(root, version))
    objects.delete_all(version_model.model_uri(root, version))


def _check_not_overtaken(version: str, found: Pointer | None) -> None:
    if found and pointer.number(found.newest) > pointer.number(version):
        raise Conflict(f"{version} is not published: {found.newest} began later and was published first; nothing is left to do")


def _with_newest(found: Pointer, keep: int) -> Pointer:
    newest = sorted(found.versions, key=pointer.number)[-keep:]
    return replace(found, versions=tuple(version for version in found.versions if version in (*newest, found.version)))


def _is_withdrawn(root: str, version: str) -> bool:
    return WITHDRAWN in objects.children(version_model.model_uri(root, version))


def _folders(root: str) -> set[str]:
    """The versions that have a folder, published or not."""
    names = (name for kind in ("models", "reduced") for name in objects.children(objects.join(root, kind)))
    return {name.rstrip("/") for name in names if NAME.fullmatch(name)}

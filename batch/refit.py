"""The refit: fits scaler and PCA on the features at ROOT and publishes the reduced features as the next version.

Cost: one pass over the rows that are new since the last version (40 µs a row on one core), an eigendecomposition on the driver
(0.2 s at 1280 columns, about 80 MB, whatever the number of rows), one pass over all rows to reduce and write them (10 µs and
47 ns x k a row) and one over the result to check it (11 ns x k). No step brings rows to the driver.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe import (
    continuity,
    fitting,
    gathering,
    job,
    layout,
    parquet,
    pointer,
    progress,
    publication,
    report,
    sampling,
    session,
    snapshot,
    tables,
)
from fruitpipe.errors import InvalidResult, WrongUsage
from fruitpipe.extractor import FEATURES
from fruitpipe.publication import Model
from fruitpipe.reduction import ROUNDING, Reduction, fit
from fruitpipe.settings import RefitSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.fitting import Source
    from fruitpipe.gathering import Gathered, Pinned
    from fruitpipe.summary import Summary

# Output is float32, so its variances agree with the fit's to about 1e-6.
VARIANCE_TOLERANCE = 1e-3
VARIANCE_FLOOR = 1e-6  # of the first component's: below that, float32 has no digits left to compare


@dataclass(frozen=True)
class Run:
    """One attempt at a version: what was asked, and what is known of the rows by now."""

    spark: SparkSession
    settings: RefitSettings
    version: str
    pinned: Pinned
    previous: Model | None
    gathered: Gathered
    began: float
    bar: progress.Bar


def refit(settings: RefitSettings) -> None:
    """Runs the job: one version more, or one clear error and nothing written or switched."""
    began = time.monotonic()
    _check_usage(settings)
    if settings.report:
        report.check_installed()
    layout.check(settings.root)  # boto3 says what is wrong with a bucket in a line, S3A in a page
    spark = session.open("fruitpipe refit", settings.root)
    with session.explained(), progress.bar("refit") as bar:
        bar.follow(spark.sparkContext.statusTracker())
        tables.version(spark, settings.root)  # without a table nothing is written, not even a claim
        # The claim comes before the pinning, so that a higher number never holds older rows.
        with publication.attempt(settings.root) as version:
            _publish(_gather(spark, settings, version, began, bar))
    _tidy(settings)
    print(f"{time.monotonic() - began:.1f} s")


def _gather(spark: SparkSession, settings: RefitSettings, version: str, began: float, bar: progress.Bar) -> Run:
    pinned = gathering.pin(spark, settings.root)
    bar.step("reading features", pinned.rows)
    found = pointer.find(settings.root)
    previous = publication.load_model(settings.root, found.version) if found else None
    gathered = gathering.gather(spark, pinned, previous, FEATURES, full=settings.full)
    print(gathered.how)
    _name_set_aside(gathered.summary)
    return Run(spark, settings, version, pinned, previous, gathered, began, bar)


def _publish(run: Run) -> None:
    """Writes data, then model, then report, then the pointer; nothing where the current version still holds."""
    if not (run.settings.unless_current and run.previous and _still_current(run.settings, run.previous, run.gathered)):
        model = _fit_anew(run)
    elif run.gathered.added is None:
        print(f"nothing to publish: {run.previous.facts['version']} has all rows")
        return
    else:
        model = _extend(run, run.previous, run.gathered.added)
    if run.settings.report:
        _report(run, model)
    publication.switch(run.settings.root, run.version)
    facts, kept = model.facts, _percent(model.facts["variance_kept"])
    print(f"{run.version}: {facts['rows']} rows, {facts['labels']} labels; k = {facts['k']} keeps {kept} of the variance")


def _fit_anew(run: Run) -> Model:
    """A version with components of its own, which vectors of other versions cannot be compared with."""
    extractor, summary, settings = run.pinned.extractor, run.gathered.summary, run.settings
    previous = run.previous if run.previous and run.previous.facts["extractor"] == extractor else None
    basis = previous.reduction if previous else None
    reduction = fit(summary.moments, variance=settings.variance, components=settings.components, previous=basis)
    turned = _continuity(previous, reduction, summary)
    facts = _facts(run, reduction) | {"basis": run.version, "variance_kept": reduction.variance_kept, "continuity": turned}
    model = Model(reduction, summary, facts)
    _check_variance(_write(run, run.pinned.source(run.spark), model), reduction)
    return model


def _extend(run: Run, previous: Model, added: Source) -> Model:
    """A version with the components of the current one: copies of its files, and files for the new rows."""
    reduction, summary = previous.reduction, run.gathered.summary
    kept = reduction.variance_kept_of(summary.moments)
    mixable = {"previous": previous.facts["version"], "may_mix": True}
    facts = _facts(run, reduction) | {"basis": previous.facts["basis"], "variance_kept": kept, "continuity": mixable}
    publication.copy_reduced(run.settings.root, previous.facts["version"], run.version)
    model = Model(reduction, summary, facts)
    _write(run, added, model)
    return model


def _check_usage(settings: RefitSettings) -> None:
    if settings.components and "variance" in settings.model_fields_set:
        raise WrongUsage(f"--variance {settings.variance} and --components {settings.components} exclude each other; give one")
    if settings.unless_current and (settings.full or settings.components):
        other = "--full" if settings.full else f"--components {settings.components}"
        raise WrongUsage(
            f"--unless-current with {other}: it asks for a share of variance and for a refit only if needed; leave one out"
        )


def _name_set_aside(summary: Summary) -> None:
    if summary.set_aside:
        print(f"{summary.set_aside} rows hold a NaN or an infinity and are set aside: {', '.join(summary.examples)}, ...")


def _still_current(settings: RefitSettings, previous: Model, gathered: Gathered) -> bool:
    """Whether the current components will do for all rows; says why."""
    version = previous.facts["version"]
    if not gathered.only_added:
        print(f"a refit is needed: not only were rows added since {version}")
        return False
    kept = previous.reduction.variance_kept_of(gathered.summary.moments)
    enough = kept >= settings.variance - ROUNDING
    verdict, asked = "no refit" if enough else "a refit is needed", _percent(settings.variance)
    print(f"{verdict}: the components of {version} keep {_percent(kept)} of the variance of all rows, {asked} is asked")
    return enough


def _facts(run: Run, reduction: Reduction) -> dict[str, Any]:
    """What `reduction.json` says of the rows and of what was asked."""
    pinned, summary = run.pinned, run.gathered.summary
    return {
        "version": run.version,
        "k": reduction.k,
        "variance_asked": None if run.settings.components else run.settings.variance,
        "rows": summary.moments.count,
        "rows_set_aside": summary.set_aside,
        "rows_read": run.gathered.rows_read,
        "labels": len(summary.labels),
        "constant_columns": reduction.constant_columns,
        "features_version": pinned.version,
        "features_table": pinned.table,
        "extractor": pinned.extractor,
        "how": run.gathered.how,
        "cancellation": run.gathered.cancellation,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _continuity(previous: Model | None, reduction: Reduction, summary: Summary) -> dict[str, Any] | None:
    if previous is None:
        return None
    turned = continuity.compare(previous.reduction, previous.summary, reduction, summary)
    return {"previous": previous.facts["version"], "may_mix": False} | turned


def _write(run: Run, features: Source, model: Model) -> Summary:
    """Writes the version's data, reads them back, then writes its model. Raises InvalidResult, saying expected and found."""
    uri, expected = publication.reduced_uri(run.settings.root, run.version), model.summary.moments.count
    run.bar.step("reducing", expected)
    fitting.write(features, model.reduction, uri, run.version)
    run.bar.step("reading back", expected)
    written = fitting.of_files(run.spark, parquet.listed(uri), "pca_features")
    found = fitting.summarise(written, model.reduction.k)
    if found.moments.count != expected:
        raise InvalidResult(
            f"{uri}: {expected} rows of finite numbers expected, {found.moments.count} found; nothing is published"
        )
    model.facts["seconds"] = round(time.monotonic() - run.began, 1)
    publication.save_model(run.settings.root, run.version, model)
    return found


def _report(run: Run, model: Model) -> None:
    """Writes the version's report: some images of it, and the table as it was fitted."""
    root, pinned = run.settings.root, run.pinned
    run.bar.step("drawing the report", pinned.rows)
    sampled = sampling.sample(pinned.source(run.spark), pinned.rows, report.IMAGES)
    print(f"report: {report.write(root, model, sampled, snapshot.Snapshot(root, pinned.version))}")


def _check_variance(found: Summary, reduction: Reduction) -> None:
    """Raises InvalidResult where a written column does not have the variance of its component."""
    expected = reduction.output_variances
    share = np.abs(found.moments.variances - expected) / (expected + VARIANCE_FLOOR * expected[0])
    if share.max() > VARIANCE_TOLERANCE:
        column = int(share.argmax())
        raise InvalidResult(
            f"component {column + 1}: variance {reduction.output_variances[column]:.6g} expected, "
            f"{found.moments.variances[column]:.6g} found; nothing is published"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _tidy(settings: RefitSettings) -> None:
    """Removes what the new version made superfluous."""
    removed = publication.sweep(settings.root)
    if settings.keep:
        removed += publication.prune(settings.root, settings.keep)
    if removed:
        print(f"removed {', '.join(removed)}")


if __name__ == "__main__":
    sys.exit(job.run(refit, RefitSettings))

"""A version of the reduced features with components of its own: fitted, written, read back and checked; not yet published."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe.classifier import classifier
from fruitpipe.errors import InvalidResult, NotEnoughRows
from fruitpipe.output import say
from fruitpipe.reduction import drift
from fruitpipe.reduction.pca import Reduction, fit
from fruitpipe.refit import on_spark, publication, row_sample, version_files, version_model
from fruitpipe.refit.version_model import Model
from fruitpipe.runtime import progress
from fruitpipe.table import vector_files

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

    from fruitpipe.reduction.summary import Summary
    from fruitpipe.refit.changes import Gathered, Pinned
    from fruitpipe.refit.on_spark import Source
    from fruitpipe.settings import RefitSettings

# Output is float32, so its variances agree with the fit's to about 1e-6.
VARIANCE_TOLERANCE = 1e-3
VARIANCE_FLOOR = 1e-6  # of the first component's: below that, float32 has no digits left to compare

STEPS = READ, FIT, REDUCE, CHECK, MEASURE, REPORT = (
    "reading features", "fitting", "reducing", "reading back", "measuring the classifier", "drawing the report",
)  # fmt: skip


def steps(settings: RefitSettings) -> tuple[str, ...]:
    """What a person who watches sees one after the other."""
    return STEPS if settings.report else STEPS[:-1]


@dataclass(frozen=True, kw_only=True)
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

    @cached_property
    def sampled(self) -> pa.Table:
        """Some of the rows, as `row_sample.sample` has them: read once, for classifier and report."""
        return row_sample.sample(self.pinned.source(self.spark), self.pinned.rows)


def fit_anew(run: Run) -> Model:
    """A version with components of its own, which vectors of other versions cannot be compared with."""
    fingerprint, summary, settings = run.pinned.fingerprint, run.gathered.summary, run.settings
    previous = run.previous if run.previous and run.previous.facts["extractor"] == fingerprint else None
    basis = previous.reduction if previous else None
    run.bar.step(FIT)
    reduction = fit(summary.moments, variance=settings.variance, components=settings.components, previous=basis)
    turned = _continuity(previous, reduction, summary)
    facts = facts_of(run, reduction) | {"basis": run.version, "variance_kept": reduction.variance_kept, "continuity": turned}
    model, written = write(run, run.pinned.source(run.spark), Model(reduction, summary, facts))
    _check_variance(written, reduction)
    return model


def write(run: Run, features: Source, model: Model) -> tuple[Model, Summary]:
    """Writes the version's data, reads them back, then writes its model.

    Returns the model as it was written, with classifier and all facts, and the summary of the data. Raises InvalidResult, saying
    expected and found.
    """
    uri, expected = publication.reduced_uri(run.settings.root, run.version), model.summary.moments.count
    run.bar.step(REDUCE, expected)
    on_spark.write(features, model.reduction, uri, run.version)
    run.bar.step(CHECK, expected)
    written = on_spark.of_files(run.spark, vector_files.listed(uri), "pca_features")
    found = on_spark.summarise(written, model.reduction.k)
    if found.moments.count != expected:
        raise InvalidResult(
            f"{uri}: {expected} rows of finite numbers expected, {found.moments.count} found; nothing is published"
        )
    model = with_classifier(run, _stating(model, {version_files.FILES: version_files.files(uri)}))
    model = _stating(model, {"seconds": round(time.monotonic() - run.began, 1)})
    version_model.save_model(run.settings.root, run.version, model)
    return model, found


def _stating(model: Model, facts: dict[str, Any]) -> Model:
    return replace(model, facts=model.facts | facts)


def with_classifier(run: Run, model: Model) -> Model:
    """The model with the classifier of its rows, and what that was measured to be worth; without where they allow none."""
    run.bar.step(MEASURE, run.pinned.rows)
    try:
        fitted = classifier.fit(model.summary, lambda: _measured_on(run))
    except NotEnoughRows as reason:
        say(f"no classifier: {reason}")
        return _stating(model, {"classifier": None, "no_classifier": str(reason)})
    say(f"classifier: {fitted.calibration}")
    return replace(_stating(model, {"classifier": fitted.facts()}), classifier=fitted)


def _measured_on(run: Run) -> tuple[NDArray[np.float32], NDArray[Any]]:
    return row_sample.vectors(run.sampled), np.array(row_sample.texts(run.sampled, "label"), np.str_)


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


def facts_of(run: Run, reduction: Reduction) -> dict[str, Any]:
    """What `reduction.json` says of the rows and of what was asked."""
    pinned, summary = run.pinned, run.gathered.summary
    return {
        "version": run.version,
        "k": reduction.k,
        "variance_asked": None if run.settings.components else run.settings.variance,
        "rows": summary.moments.count,
        "rows_set_aside": summary.set_aside,
        "rows_left_out": pinned.left_out,
        "rows_read": run.gathered.rows_read,
        "labels": len(summary.labels),
        "constant_columns": reduction.constant_columns,
        "features_version": pinned.version,
        "features_table": pinned.table,
        "extractor": pinned.fingerprint,
        "preprocessing": pinned.fitted.variants,  # by class of pictures
        "how": run.gathered.how,
        "cancellation": run.gathered.cancellation,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _continuity(previous: Model | None, reduction: Reduction, summary: Summary) -> dict[str, Any] | None:
    if previous is None:
        return None
    turned = drift.compare(previous.reduction, previous.summary, reduction, summary)
    return {"previous": previous.facts["version"], "may_mix": False} | turned


def percent(share: float) -> str:
    """``0.95`` → ``95.00 %``."""
    return f"{100 * share:.2f} %"

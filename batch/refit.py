"""The refit: fits scaler and PCA on the features at ROOT and publishes the reduced features as the next version.

Cost: one pass over the rows that are new since the last version (63 µs a row and core), an eigendecomposition on the driver
(0.5 s at 1280 columns, about 80 MB, whatever the number of rows), one pass over all rows to reduce them (0.05 ms a row and core
at k = 540) and one over the result to check it. No step brings rows to the driver.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe import continuity, fitting, gathering, job, objects, publication, session, tables
from fruitpipe.errors import InvalidResult, WrongUsage
from fruitpipe.extractor import FEATURES
from fruitpipe.publication import Model
from fruitpipe.reduction import ROUNDING, Reduction, fit
from fruitpipe.settings import RefitSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fruitpipe.gathering import Gathered, Pinned

# Output is float32, so its variances agree with the fit's to about 1e-6.
VARIANCE_TOLERANCE = 1e-3


def refit(settings: RefitSettings) -> None:
    """Runs the job: one version more, or one clear error and nothing written or switched."""
    began = time.monotonic()
    _check_usage(settings)
    spark = session.open("fruitpipe refit", settings.root)
    with session.explained():
        version = _refit(spark, settings)
    if version:
        _tidy(settings)
        print(f"published {publication.reduced_uri(settings.root, version)} in {time.monotonic() - began:.1f} s")


def _refit(spark: SparkSession, settings: RefitSettings) -> str | None:
    """The version that was published, or None where the current one still holds."""
    pinned = gathering.pin(spark, settings.root)
    previous = _previous(settings.root)
    gathered = gathering.gather(spark, pinned, previous, FEATURES, full=settings.full)
    print(gathered.how)
    _name_set_aside(gathered)
    if settings.unless_current and previous and _still_current(settings, previous, gathered):
        return _extend(spark, settings, pinned, previous, gathered)
    return _fit_anew(spark, settings, pinned, previous, gathered)


def _fit_anew(
    spark: SparkSession, settings: RefitSettings, pinned: Pinned, previous: Model | None, gathered: Gathered
) -> str:
    comparable = previous if previous and previous.facts["extractor"] == pinned.extractor else None
    reduction = fit(
        gathered.summary.moments,
        variance=settings.variance,
        components=settings.components,
        previous=comparable.reduction if comparable else None,
    )
    facts = _facts(settings, pinned, gathered, reduction) | {"variance_kept": reduction.variance_kept}
    facts["continuity"] = _continuity(comparable, reduction, gathered)
    rows = fitting.project(tables.rows_at(spark, pinned.root, pinned.version), reduction)
    with publication.attempt(settings.root) as version:
        model = Model(reduction, gathered.summary, facts | {"basis": version})
        _write(spark, settings.root, version, rows, model)
        _check_variances(spark, settings.root, version, reduction)
    return version


def _extend(spark: SparkSession, settings: RefitSettings, pinned: Pinned, previous: Model, gathered: Gathered) -> str | None:
    """The next version with the components of the current one: its vectors as they are, and those of the new rows."""
    if gathered.added is None or not gathered.rows_read:
        print(f"{previous.facts['version']} is current: there are no new rows")
        return None
    kept = previous.reduction.variance_kept_of(gathered.summary.moments)
    facts = _facts(settings, pinned, gathered, previous.reduction) | {"variance_kept": kept, "basis": previous.facts["basis"]}
    facts["continuity"] = {"previous": previous.facts["version"], "may_mix": True}
    old = publication.read_reduced(spark, settings.root, previous.facts["version"]).drop("version")
    rows = old.unionByName(fitting.project(gathered.added, previous.reduction))
    with publication.attempt(settings.root) as version:
        _write(spark, settings.root, version, rows, Model(previous.reduction, gathered.summary, facts))
    return version

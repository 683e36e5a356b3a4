"""The refit: fits scaler and PCA on the features at ROOT and publishes the reduced features as the next version.

Cost: one pass over the rows that are new since the last version (40 µs a row on one core), an eigendecomposition on the driver
(0.2 s at 1280 columns, about 80 MB, whatever the number of rows), one pass over all rows to reduce and write them (10 µs and
47 ns x k a row), one over the result to check it (11 ns x k), and one over all rows for the sample on which classifier and report
are measured: 1,500 vectors, 8 MB, are all that comes to the driver.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.errors import Damaged, NotFound, WrongUsage
from fruitpipe.output import say
from fruitpipe.pictures import look_alikes
from fruitpipe.reduction.pca import ROUNDING
from fruitpipe.refit import changes, new_version, pointer, publication, rollback, version_files, version_model
from fruitpipe.refit.version_model import Model
from fruitpipe.root import layout
from fruitpipe.runtime import lineage, progress, session
from fruitpipe.settings import RefitSettings
from fruitpipe.table import delta

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruitpipe.reduction.summary import Summary
    from fruitpipe.refit.changes import Gathered
    from fruitpipe.refit.on_spark import Source


def refit(settings: RefitSettings) -> None:
    """Publishes one more version, or fails with one clear error and changes nothing for readers."""
    began = time.monotonic()
    _check_usage(settings)
    if settings.report:
        from fruitpipe.report import document  # with libraries that a refit without one does not need

        document.check(settings.root)
    layout.check(settings.root)  # boto3 says what is wrong with a bucket in a line, S3A in a page
    delta.describe(settings.root)  # without a table nothing is written, not even a claim
    told = lineage.Lineage(settings.root, settings.openlineage_url)
    job = lineage.Job("fruitpipe.refit", (delta.folder(settings.root),), (layout.folder(settings.root, "reduced"),))
    with told.run(job) as counts:
        counts[lineage.ROWS] = _run(settings, began)
    _tidy(settings)
    say(f"{time.monotonic() - began:.1f} s")


def _run(settings: RefitSettings, began: float) -> int:
    """Publishes a version, and returns its rows; 0 where none is needed."""
    spark = session.open("fruitpipe refit", settings.root)
    with session.explained(), progress.bar("refit", steps=new_version.steps(settings)) as bar:
        bar.follow(spark.sparkContext.statusTracker())
        objects.check_drive(settings.root)
        # The claim comes before the pinning, so that a higher number never holds older rows.
        with publication.attempt(settings.root) as version:
            return _publish(_gather(spark, settings, version, began, bar))


def _gather(spark: SparkSession, settings: RefitSettings, version: str, began: float, bar: progress.Bar) -> new_version.Run:
    pinned = changes.pin(spark, settings.root)
    bar.step(new_version.READ, pinned.rows)
    found = pointer.find(settings.root)
    previous = _previous(settings.root, found) if found else None
    gathered = changes.gather(spark, pinned, previous, full=settings.full)
    say(gathered.how)
    _name_set_aside(gathered.summary)
    _name_left_out(pinned)
    return new_version.Run(
        spark=spark, settings=settings, version=version, pinned=pinned, previous=previous, gathered=gathered, began=began, bar=bar
    )


def _previous(root: str, found: pointer.Pointer) -> Model | None:
    """The model that the new version continues; None where it is damaged, and then all rows are read."""
    try:
        return version_model.load_basis(root, found, found.basis)
    except (Damaged, NotFound) as error:
        say(f"{error}: this refit reads all rows and goes on from no earlier version")
        return None


def _publish(run: new_version.Run) -> int:
    """Writes data, then model, then report, then the pointer; nothing where the current version still holds. Returns the rows."""
    if not (run.settings.unless_current and run.previous and _still_current(run.settings, run.previous, run.gathered)):
        model = new_version.fit_anew(run)
    elif run.gathered.added is None:
        say(f"nothing changed since {run.previous.facts['version']}: nothing is published")
        publication.confirm(run.settings.root, run.previous.facts["version"], run.pinned.version)
        return 0
    else:
        model = _extend(run, run.previous, run.gathered.added)
    register.check_pinned(run.settings.root, run.pinned.table, run.pinned.version)
    if run.settings.report:
        _report(run, model)
        register.check_pinned(run.settings.root, run.pinned.table, run.pinned.version)
    published = publication.switch(run.settings.root, run.version)
    facts, kept = model.facts, new_version.percent(model.facts["variance_kept"])
    say(f"{run.version}: {facts['rows']} rows, {facts['labels']} labels; k = {facts['k']} keeps {kept} of the variance")
    if alike := look_alikes.listed(model.summary.labels):
        say(f"labels that differ by case, blanks or Unicode form alone: {alike}; rename folders to make them one")
    if published.held:
        say(f"{run.version} is published, and readers do not get it: {rollback.told(published, run.settings.root)}")
    return int(facts["rows"])


def _extend(run: new_version.Run, previous: Model, added: Source) -> Model:
    """A version with the components of the current one: copies of its files, and files for the new rows."""
    reduction, summary = previous.reduction, run.gathered.summary
    kept = reduction.variance_kept_of(summary.moments)
    mixable = {"previous": previous.facts["version"], "may_mix": True}
    facts = new_version.facts_of(run, reduction) | {
        "basis": previous.facts["basis"],
        "variance_kept": kept,
        "continuity": mixable,
    }
    before, folder = (publication.reduced_uri(run.settings.root, one) for one in (previous.facts["version"], run.version))
    version_files.copy(before, folder, previous.facts)
    model, _ = new_version.write(run, added, Model(reduction, summary, facts))
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
        say(f"{summary.set_aside} rows hold a NaN or an infinity and are set aside: {', '.join(summary.examples)}, ...")


def _name_left_out(pinned: changes.Pinned) -> None:
    if pinned.left_out:
        say(
            f"{pinned.left_out} rows have features of an earlier extractor and are left out, as the store does not give their "
            f"images: restore them or grant access, then run fruitpipe reconcile --images URI --root {pinned.root}"
        )


def _still_current(settings: RefitSettings, previous: Model, gathered: Gathered) -> bool:
    """Whether the current components hold the asked variance of all rows; prints why."""
    version = previous.facts["version"]
    if not gathered.only_added:
        say(f"a refit is needed: not only were rows added since {version}")
        return False
    kept = previous.reduction.variance_kept_of(gathered.summary.moments)
    enough = kept >= settings.variance - ROUNDING
    verdict, asked = "no refit" if enough else "a refit is needed", new_version.percent(settings.variance)
    say(f"{verdict}: the components of {version} keep {new_version.percent(kept)} of the variance of all rows, {asked} is asked")
    return enough


def _report(run: new_version.Run, model: Model) -> None:
    """Writes the version's report: some images of it, and the table as it was fitted."""
    from fruitpipe.report import document
    from fruitpipe.table import snapshot

    root, pinned = run.settings.root, run.pinned
    run.bar.step(new_version.REPORT, pinned.rows)
    say(f"report: {document.write(root, model, run.sampled, snapshot.Snapshot(root, pinned.version))}")


def _tidy(settings: RefitSettings) -> None:
    """Removes what unfinished attempts left, and old versions as `--keep` says; prints which."""
    removed = publication.sweep(settings.root)
    if settings.keep:
        removed += publication.prune(settings.root, settings.keep)
    if removed:
        say(f"removed {', '.join(removed)}")

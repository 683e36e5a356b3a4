"""Writes the report of a version: one HTML file that needs no other, `<root>/reports/v000012.html`.

What it shows of single images (path, label, small picture) lies in one element, `<script id="images">`, for a sample of
`row_sample.ROWS` of them; paths of images that failed lie in the element `<script id="failures">`. Nowhere else does it name one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from fruitpipe import objects
from fruitpipe.errors import MissingRequirement, NotFound
from fruitpipe.output import quoted
from fruitpipe.pictures import thumbnails
from fruitpipe.refit import pointer, publication, rollback, row_sample, version_model
from fruitpipe.report import neighbours
from fruitpipe.table import snapshot

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from fruitpipe.refit.version_model import Model

EXAMPLES = 3  # of images that failed, for each reason
BINS = ((2 * 3600, "minute"), (4 * 86400, "hour"), (400 * 86400, "day"), (float("inf"), "month"))


@dataclass(frozen=True)
class Table:
    """The part of the report on the features table: images by label, images by time of ingestion, failures with examples."""

    labels: dict[str, int]
    arrivals: dict[str, Any]
    errors: dict[str, int]
    failures: list[dict[str, str]]


def check(root: str) -> None:
    """Raises MissingRequirement or WrongUsage where a report of `root` cannot be made; for the start of a refit."""
    snapshot.check(root)
    for name in ("plotly", "sklearn"):
        if find_spec(name) is None:
            raise MissingRequirement(f"the report needs the module {name}; install fruitpipe[see], or refit with --no-report")


def rebuild(root: str, version: str | None = None) -> str:
    """Writes the report of a published version, by default the current one, again from the table as it is now; returns its URI.

    Images that were erased or removed since, or computed by another network, are not in it: their vectors are not the version's.
    Starts Spark. Raises NotFound, MissingRequirement.
    """
    check(root)
    name = version or publication.current(root)
    if name not in publication.versions(root):
        raise NotFound(f"{name} is not a published version of {root}; there are {', '.join(publication.versions(root))}")
    from fruitpipe.refit import on_spark
    from fruitpipe.runtime import session
    from fruitpipe.table import delta

    model = version_model.load_model(root, name)
    made_by = model.facts["extractor"]  # without the variant, of which one network has several
    with session.explained():
        spark = session.open("fruitpipe report", objects.canonical(root))
        paths = publication.read_reduced(spark, root, name).select("path")
        rows = delta.rows(spark, objects.canonical(root)).where(f"substring_index(extractor, '-', 1) = '{made_by}'")
        rows = rows.join(paths, on="path", how="left_semi")
        sampled = row_sample.sample(on_spark.of_rows(rows, "features"), model.summary.count)
    return write(root, model, sampled, snapshot.Snapshot(root))


def write(root: str, model: Model, sampled: pa.Table, rows: snapshot.Snapshot) -> str:
    """Writes the report of a version, of which `sampled` holds path, label and features of some images; returns its URI."""
    where = publication.report_uri(objects.canonical(root), model.facts["version"])
    found = pointer.find(root)
    held = rollback.told(found, root) if found else ""
    objects.write(where, html(model, sampled, read_table(rows), held).encode())
    return where


def read_table(table: snapshot.Snapshot) -> Table:
    """Queries the report's part on the table. Reads a few scalar columns."""
    labels = table.query("SELECT label, count(*) AS images FROM features WHERE error IS NULL GROUP BY label ORDER BY label")
    (span,) = table.query("SELECT min(ingested_at) AS first, max(ingested_at) AS last FROM features")
    seconds = (span["last"] - span["first"]).total_seconds() if span["last"] else 0.0  # every image may be gone by now
    unit = next(unit for longest, unit in BINS if seconds <= longest)
    came = table.query(
        f"SELECT date_trunc('{unit}', ingested_at) AS at, count(*) AS images FROM features GROUP BY 1 ORDER BY 1"  # noqa: S608
    )
    errors = table.query(
        "SELECT error, count(*) AS images FROM features WHERE error IS NOT NULL GROUP BY error ORDER BY 2 DESC, 1"
    )
    ranked = "SELECT error, path, error_message, row_number() OVER (PARTITION BY error ORDER BY path) AS place FROM features"
    examples = table.query(
        f"SELECT error, path, error_message AS message FROM ({ranked} WHERE error IS NOT NULL) AS failed "  # noqa: S608
        f"WHERE place <= {EXAMPLES} ORDER BY error, path"
    )
    arrivals = {"unit": unit, "at": [row["at"].isoformat() for row in came], "images": [row["images"] for row in came]}
    by_label, by_reason = ({row[name]: row["images"] for row in rows} for name, rows in (("label", labels), ("error", errors)))
    return Table(by_label, arrivals, by_reason, examples)


def html(model: Model, sampled: pa.Table, table: Table, held: str = "") -> str:
    """The report as one HTML document. held: a sentence on the version that a rollback holds readers at; empty without one."""
    page = (files("fruitpipe.report") / "report.html").read_text(encoding="utf-8")
    paths, labels = row_sample.texts(sampled, "path"), row_sample.texts(sampled, "label")
    shown = {"paths": paths, "labels": labels, "pictures": thumbnails.of(paths)}
    fills = {
        "version": escape(model.facts["version"]),
        "plotly": plotly_js(),
        "images": _script(shown),
        "failures": _script(table.failures),
        "report": _script(content(model, sampled, table) | {"held": held}),
    }
    for name, text in fills.items():
        page = page.replace(f"<!--{name}-->", text)
    return page


def content(model: Model, sampled: pa.Table, table: Table) -> dict[str, Any]:
    """All that the report shows except single images, ready for JSON."""
    reduction = model.reduction
    features = row_sample.vectors(sampled) if len(sampled) else np.zeros((0, len(reduction.mean)), np.float32)
    reduced = reduction.transform(features)
    cumulative = np.cumsum(np.trim_zeros(reduction.explained_variance_ratio, "b"))
    return {
        "facts": {name: fact for name, fact in model.facts.items() if name not in ("continuity", "files")},
        "continuity": model.facts.get("continuity"),
        "cumulative": np.round(cumulative, 5).tolist(),
        "components": np.round(_two(reduced), 3).T.tolist(),
        "neighbours": np.round(neighbours.arranged(reduced), 2).T.tolist(),
        "confusion": _confusions(reduction.standardised(features), reduced, row_sample.texts(sampled, "label")),
        "labels": table.labels,
        "arrivals": table.arrivals,
        "errors": table.errors,
    }


def plotly_js() -> str:
    """The source of plotly.js, to be embedded in the file."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _confusions(before: NDArray[Any], after: NDArray[Any], labels: list[str]) -> dict[str, Any]:
    names = sorted(set(labels))
    numbers = np.searchsorted(np.array(names, np.str_), np.array(labels, np.str_))
    matrices = {when: neighbours.confusion(rows, numbers, len(names)) for when, rows in (("before", before), ("after", after))}
    agreed = {f"{when}_agreement": neighbours.agreement(matrix) for when, matrix in matrices.items()}
    return {"labels": names} | {when: matrix.tolist() for when, matrix in matrices.items()} | agreed


def _two(reduced: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first two components, (n, 2); with one component the second column is 0."""
    return np.column_stack([reduced[:, :2], np.zeros((len(reduced), 2), np.float32)])[:, :2]


def _script(value: Any) -> str:
    """JSON for a script element: no text of an image can end the element, or change the direction of text beside it."""
    return json.dumps(_shown(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _shown(value: Any) -> Any:
    """The value with every text in it, names of fields too, as `quoted`."""
    match value:
        case str():
            return quoted(value)
        case list():
            return [_shown(one) for one in value]
        case dict():
            return {_shown(name): _shown(one) for name, one in value.items()}
    return value

"""The snippets of docs/reading.md, run as they stand there on a small published root, all give the same rows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from fruitpipe import objects
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import publication
from fruitpipe.refit.on_spark import project_batches, vectors_of
from fruitpipe.refit.publication import Model
from fruitpipe.runtime import session
from fruitpipe.table import vector_files

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()
SNIPPETS = dict(re.findall(r"^(pandas|Polars|DuckDB|Spark|Plain Python)\b.*:\n\n```python\n((?:.*\n)*?)```", PAGE, re.MULTILINE))
LABELS = np.array(["Kiwi", "Crème brûlée", "Pomme d'api"] * 8, object)
PATHS = np.array([f"file:///images/{label}/{number:02}.jpg" for number, label in enumerate(LABELS)], object)
FEATURES = np.random.default_rng(0).random((24, 1280), np.float32)


def batch(rows):
    return vector_files.pa.record_batch({"path": PATHS[rows], "label": LABELS[rows], "features": vectors_of(FEATURES[rows])})


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two versions; the current one has two files and, beside it, what a killed refit and a killed writer left."""
    root = str(tmp_path_factory.mktemp("reading") / "root")
    summary = Summary.of(FEATURES, LABELS, PATHS)
    for components in (2, 5):
        reduction = fit(summary.moments, components=components)
        with publication.attempt(root) as version:
            folder = publication.reduced_uri(objects.canonical(root), version)
            for number, rows in enumerate((slice(0, 9), slice(9, 24))):
                vector_files.write(project_batches([batch(rows)], reduction), f"{folder}/part-{version}-{number:05}.parquet")
            publication.save_model(root, version, Model(reduction, summary, {"version": version}))
            publication.switch(root, version)
    reduced = Path(root, "reduced")
    (reduced / "v000003").mkdir()
    (reduced / "v000003" / "part-v000003-00000.parquet").write_bytes(b"half")
    (reduced / ".latest.json.abc").write_bytes(b"{")
    (reduced / "v000002" / ".part-v000002-00002.parquet.abc").write_bytes(b"half")
    return root


@pytest.fixture(scope="module")
def expected(root):
    return dict(
        zip(PATHS, zip(LABELS, publication.load_reduction(root, "v000002").transform(FEATURES), strict=True), strict=True)
    )


def run(name, **given):
    """What the snippet leaves in `frame` or `vectors`."""
    exec(SNIPPETS[name], given)
    return given.get("frame", given.get("vectors"))


def assert_same(rows, expected):
    assert len(rows) == len(expected)
    assert {path: label for path, label, _ in rows} == {path: label for path, (label, _) in expected.items()}
    for path, _, vector in rows:
        np.testing.assert_array_equal(np.asarray(vector, np.float32), expected[path][1])


def test_the_page_has_a_snippet_of_three_lines_for_each_reader():
    assert list(SNIPPETS) == ["pandas", "Polars", "DuckDB", "Spark", "Plain Python"]
    assert {name: sum(map(bool, code.splitlines())) for name, code in SNIPPETS.items()} == dict.fromkeys(SNIPPETS, 3)
    (ddl,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert len(ddl.splitlines()) == 3
    assert "path string, label string, pca_features array<float>" in ddl


def test_pandas_reads_the_current_version(root, expected):
    frame = run("pandas", root=root)
    assert isinstance(frame, pd.DataFrame)
    assert_same(list(frame[["path", "label", "pca_features"]].itertuples(index=False, name=None)), expected)


def test_polars_reads_the_current_version(root, expected):
    frame = run("Polars", root=root)
    assert frame.schema["pca_features"] == pl.List(pl.Float32)
    assert_same(frame.select("path", "label", "pca_features").rows(), expected)


def test_duckdb_reads_the_current_version(root, expected):
    frame = run("DuckDB", root=root)
    assert isinstance(frame, duckdb.DuckDBPyRelation)
    assert str(frame.types[2]) == "FLOAT[]"
    assert_same(frame.fetchall(), expected)


def test_spark_reads_the_current_version(root, expected):
    spark = session.open("fruitpipe tests")
    frame = run("Spark", root=root, spark=spark)
    assert frame.schema.simpleString() == "struct<path:string,label:string,pca_features:array<float>>"
    assert_same([tuple(row) for row in frame.collect()], expected)


def test_plain_python_reduces_to_the_same_vectors(root, expected):
    vectors = run("Plain Python", root=root, features=FEATURES)
    assert_same(list(zip(PATHS, LABELS, vectors, strict=True)), expected)


def test_the_page_names_the_facts_that_a_version_has():
    checkout = Path(__file__).parents[2]
    source = "".join(
        (checkout / name).read_text()
        for name in ("fruitpipe/jobs/refit.py", "fruitpipe/refit/new_version.py", "fruitpipe/reduction/drift.py")
    )
    table = PAGE.split("relates to the one before", 1)[1].split("## Going back")[0]
    cells = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(?:continuity\.)?([a-z_]+)`", cell)}
    assert {"basis", "k", "rows", "variance_asked", "variance_kept", "features_version", "extractor"} <= named
    assert [name for name in sorted(named) if f'"{name}"' not in source] == []


def test_the_pointer_has_the_names_that_the_page_gives(root):
    pointer = json.loads(Path(root, "reduced", "latest.json").read_text())
    assert {"version", "versions", "reduced", "model"} <= set(pointer)
    assert pointer["reduced"] == "reduced/v000002"

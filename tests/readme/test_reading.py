"""The snippets of docs/reading.md, run as they stand there on a small published root, all give the same rows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from fruitpipe.runtime import session
from tests import reading_page
from tests.reading_page import FEATURES, LABELS, OF_FEATURES, PAGE, PATHS, SNIPPETS, assert_nearest, assert_same, run, search

QUERY = (FEATURES[7] + 0.01).tolist()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two versions, beside what a killed refit and a killed writer left, and a table of features; a quote is in its name."""
    root = str(tmp_path_factory.mktemp("reading") / "d'api")
    reading_page.publish(root)
    reading_page.write_features(root)
    reduced = Path(root, "reduced")
    (reduced / "v000003").mkdir()
    (reduced / "v000003" / "part-v000003-00000.parquet").write_bytes(b"half")
    (reduced / ".latest.json.abc").write_bytes(b"{")
    (reduced / "v000002" / ".part-v000002-00002.parquet.abc").write_bytes(b"half")
    return root


@pytest.fixture(scope="module")
def expected(root):
    return reading_page.expected(root)


@pytest.fixture(scope="module")
def spark():
    return session.open("fruitpipe tests")


def test_the_page_has_a_snippet_of_at_most_three_lines_for_each_reader():
    names = [name.split(",")[0] for name in SNIPPETS]
    assert names[1:4] == ["pandas", "Polars", "DuckDB"]
    assert [name.partition(" ")[0] for name in names[5:]] == ["Spark", "Plain"]
    assert max(sum(map(bool, code.splitlines())) for code in SNIPPETS.values()) == 3
    assert [name for name in OF_FEATURES if not name.startswith("Search")] == ["Polars", "DuckDB", "pandas", "Spark"]
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


@pytest.mark.parametrize("name", [name for name in SNIPPETS if "duckdb.sql" in SNIPPETS[name]])
def test_duckdb_reads_the_current_version(root, expected, name):
    frame = run(name, root=root)
    assert isinstance(frame, duckdb.DuckDBPyRelation)
    assert str(frame.types[2]) == "FLOAT[]"
    assert_same(list(frame.df().itertuples(index=False, name=None)), expected)


def test_spark_reads_the_current_version(root, expected, spark):
    frame = run("Spark (each row also gets its `version`)", root=root, spark=spark)
    assert frame.schema.simpleString() == "struct<path:string,label:string,pca_features:array<float>>"
    assert_same([tuple(row) for row in frame.collect()], expected)


def test_plain_python_reduces_to_the_same_vectors(root, expected):
    name = next(name for name in SNIPPETS if name.startswith("Plain Python"))
    vectors = run(name, root=root, features=FEATURES)
    assert_same(list(zip(PATHS, LABELS, vectors, strict=True)), expected)


def test_polars_finds_the_nearest(root):
    assert_nearest(search("Polars", root=root, query=QUERY).rows(), QUERY)


def test_duckdb_finds_the_nearest(root):
    assert_nearest(search("DuckDB", root=root, query=QUERY).fetchall(), QUERY)


def test_pandas_finds_the_nearest(root):
    assert_nearest(list(search("pandas", root=root, query=QUERY).itertuples(index=False, name=None)), QUERY)


def test_spark_finds_the_nearest(root, spark):
    assert_nearest([tuple(row) for row in search("Spark", root=root, query=QUERY, spark=spark).collect()], QUERY)


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

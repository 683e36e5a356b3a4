"""The snippets of docs/reading.md, run as they stand there against an S3 server over HTTP."""

from __future__ import annotations

import pytest

from fruitpipe.objects import s3_connection
from tests import reading_page
from tests.reading_page import FEATURES, LABELS, PATHS, SNIPPETS, assert_nearest, assert_same, run, search

QUERY = (FEATURES[7] + 0.01).tolist()


def rows_of(found, *columns):
    """As tuples, of whichever library."""
    frame = found.df() if hasattr(found, "df") else found
    chosen = frame[list(columns)] if columns else frame
    return chosen.rows() if hasattr(chosen, "rows") else list(chosen.itertuples(index=False, name=None))


@pytest.fixture(autouse=True)
def _environment(s3, monkeypatch):
    s3_connection.connection.cache_clear()
    for name, value in (s3.environment | {"AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": s3.endpoint}).items():
        monkeypatch.setenv(name, value)
    yield
    s3_connection.connection.cache_clear()


def test_every_snippet_takes_a_root_in_s3(s3):
    root = f"s3://{s3.bucket()}/pipe"
    reading_page.publish(root)
    reading_page.write_features(root)
    expected = reading_page.expected(root)
    for name in SNIPPETS:
        if name.split(",")[0] in ("pandas", "Polars", "DuckDB"):
            assert_same(rows_of(run(name, root=root), "path", "label", "pca_features"), expected)
    plain = next(name for name in SNIPPETS if name.startswith("Plain Python"))
    assert_same(list(zip(PATHS, LABELS, run(plain, root=root, features=FEATURES), strict=True)), expected)
    for reader in ("Polars", "DuckDB", "pandas"):
        assert_nearest(rows_of(search(reader, root=root, query=QUERY)), QUERY)

"""Parquet files as the Python workers read and write them."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe import objects
from fruitpipe.errors import Damaged
from fruitpipe.refit.on_spark import vectors_of
from fruitpipe.table import vector_files
from fruitpipe.table.vector_files import File

ROWS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def batch(rows=ROWS):
    columns = [pa.array([f"file:///{number}.jpg" for number in range(len(rows))]), pa.array(["Kiwi"] * len(rows))]
    return pa.RecordBatch.from_arrays([*columns, vectors_of(rows)], ["path", "label", "pca_features"])


def test_what_is_written_is_read_again_with_names_that_every_reader_knows(tmp_path):
    uri = f"file://{tmp_path}/v000001/part-0.parquet"
    assert vector_files.write([batch(ROWS[:0]), batch(ROWS[:4]), batch(ROWS[4:])], uri) == 7
    read = pa.Table.from_batches(vector_files.read([pa.record_batch({"task": [0]})], [[uri]], "pca_features"))
    assert read["pca_features"].to_pylist() == ROWS.tolist()
    (file,) = vector_files.listed(f"file://{tmp_path}")
    assert file == File(uri, len(objects.read(uri)))
    columns = pq.ParquetFile(uri.removeprefix("file://")).metadata
    assert [columns.row_group(0).column(number).path_in_schema for number in range(3)] == [
        "path",
        "label",
        "pca_features.list.element",
    ]
    assert {columns.row_group(0).column(number).compression for number in range(3)} == {"ZSTD"}


def test_rows_of_other_extractors_are_left_out_where_one_is_asked_for():
    body = io.BytesIO()
    rows = batch().append_column("extractor", pa.array(["old", "new", "new", "old", "new", "old", "old"]))
    pq.write_table(pa.Table.from_batches([rows]), body)
    (read,) = vector_files.rows_of(body.getvalue(), "pca_features", ["new"])
    assert read.schema.names == ["path", "label", "pca_features"]
    assert read["pca_features"].to_pylist() == ROWS[[1, 2, 4]].tolist()


def test_without_rows_there_is_no_file(tmp_path):
    assert vector_files.write([batch(ROWS[:0])], f"file://{tmp_path}/part-0.parquet") == 0
    assert vector_files.write([], f"file://{tmp_path}/part-0.parquet") == 0
    assert vector_files.listed(f"file://{tmp_path}") == []


def test_rows_without_a_vector_are_left_out(tmp_path):
    file = tmp_path / "part-0.parquet"
    vectors = pa.array([[1.0], None, [2.0]], pa.list_(pa.float32()))
    pq.write_table(
        pa.table({"features": vectors, "path": ["a", "b", "c"], "label": ["x"] * 3, "error": [None, "empty", None]}), file
    )
    (rows,) = vector_files.rows_of(file.read_bytes(), "features")
    assert rows.to_pydict() == {"path": ["a", "c"], "label": ["x", "x"], "features": [[1.0], [2.0]]}


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(Damaged, match=r"gone\.parquet: is missing; fruitpipe doctor"):
        list(vector_files.read([pa.record_batch({"task": [0]})], [[f"file://{tmp_path}/gone.parquet"]], "features"))


@pytest.mark.parametrize("name", [".part-0.parquet", "_SUCCESS", ".part-0.parquet.crc", "._x.parquet", "claim.json"])
def test_hidden_and_other_files_are_no_data(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert vector_files.listed(f"file://{tmp_path}") == []


def test_shares_hold_each_file_once_and_are_about_equal():
    files = [File(f"file:///{number}", length) for number, length in enumerate([9, 1, 5, 5, 7, 3, 2, 4])]
    shares = vector_files.shared(files, 3)
    assert sorted(uri for share in shares for uri in share) == sorted(file.uri for file in files)
    lengths = dict(files)
    assert sorted(sum(lengths[uri] for uri in share) for share in shares) == [12, 12, 12]
    assert shares == vector_files.shared(files[::-1], 3), "whatever the order of the listing"


def test_a_flipped_byte_is_named_and_no_other_number_read(tmp_path):
    path = tmp_path / "part-0.parquet"
    vector_files.write([batch()], f"file://{path}")
    body = bytearray(path.read_bytes())
    vectors = pq.read_metadata(path).row_group(0).column(2)
    body[vectors.data_page_offset + vectors.total_compressed_size - 9] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(Damaged, match=r"part-0\.parquet: does not read back \(.*could not verify page integrity"):
        list(vector_files.read([pa.record_batch({"task": [0]})], [[f"file://{path}"]], "pca_features"))

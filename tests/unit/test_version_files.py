"""A published version of which a file is missing, cut, changed or foreign is named, and not read as a smaller one."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest

from fruitpipe import objects
from fruitpipe.errors import Damaged, NotFound
from fruitpipe.refit import publication, version_files, version_model
from tests.versions import publish

VERSION = "v000001"


@pytest.fixture
def root(tmp_path):
    root = f"file://{tmp_path}/root"
    publish(root)
    return root


@pytest.fixture
def folder(root):
    return publication.reduced_uri(root, VERSION)


def facts(root, *, named=True):
    """What is stated of the version, or was by an earlier fruitpipe, which named no files."""
    return {name: fact for name, fact in version_model.load_facts(root, VERSION).items() if named or name != "files"}


def test_a_whole_version_is_counted(root, folder):
    assert version_files.verify(folder, facts(root)) == version_files.verify(folder, facts(root, named=False)) == 30


def test_a_missing_file_is_named(root, folder):
    objects.delete(f"{folder}/part-1.parquet")
    with pytest.raises(Damaged, match=r"part-1\.parquet: is missing; readers get another version after fruitpipe rollback"):
        version_files.check(folder, facts(root))


def test_a_cut_and_a_foreign_file_are_named(root, folder):
    objects.write(f"{folder}/part-3.parquet", objects.read(f"{folder}/part-1.parquet"))
    with pytest.raises(Damaged, match=r"part-3\.parquet: is no file of this version"):
        version_files.check(folder, facts(root))
    objects.write(f"{folder}/part-1.parquet", b"PAR1")
    with pytest.raises(Damaged, match=r"part-1\.parquet: has 4 bytes in place of \d+"):
        version_files.check(folder, facts(root))


def test_a_flipped_byte_is_named(root, folder):
    body = bytearray(objects.read(f"{folder}/part-2.parquet"))
    vectors = pq.read_metadata(io.BytesIO(body)).row_group(0).column(2)
    body[vectors.data_page_offset + vectors.total_compressed_size - 9] ^= 1
    objects.write(f"{folder}/part-2.parquet", bytes(body))
    version_files.check(folder, facts(root))
    with pytest.raises(Damaged, match=r"part-2\.parquet: does not read back \(.*CRC checksum"):
        version_files.verify(folder, facts(root))


def test_of_a_version_that_names_no_files_the_rows_are_counted(root, folder):
    objects.delete(f"{folder}/part-0.parquet")
    version_files.check(folder, facts(root, named=False))
    with pytest.raises(Damaged, match="20 of the 30 rows that were published are there"):
        version_files.verify(folder, facts(root, named=False))


def test_no_version_is_extended_from_one_of_which_a_file_is_missing(root, folder):
    objects.delete(f"{folder}/part-0.parquet")
    with pytest.raises(Damaged, match=r"part-0\.parquet: is missing"):
        version_files.copy(folder, publication.reduced_uri(root, "v000002"), facts(root))


@pytest.mark.parametrize("damage", [lambda body: body[: len(body) // 2], lambda body: body[:0], lambda body: bytes(len(body))])
@pytest.mark.parametrize("name", ["reduction.npz", "reduction.json"])
def test_a_damaged_model_is_named(root, name, damage):
    uri = f"{version_model.model_uri(root, VERSION)}/{name}"
    objects.write(uri, damage(objects.read(uri)))
    with pytest.raises(Damaged, match=rf"models/{VERSION}/{name}: does not read back"):
        publication.load_reduction(root)


@pytest.mark.parametrize("damage", [lambda body: body[: len(body) // 2], lambda body: body[:0], lambda body: bytes(len(body))])
def test_a_damaged_classifier_is_named_and_the_rest_of_the_model_serves(root, damage):
    uri = f"{version_model.model_uri(root, VERSION)}/classifier.npz"
    objects.write(uri, damage(objects.read(uri)))
    with pytest.raises(Damaged, match=rf"models/{VERSION}/classifier\.npz: does not read back"):
        publication.load_classifier(root)
    assert publication.load_reduction(root).k == 3


@pytest.mark.parametrize(
    ("name", "load"),
    [("classifier.npz", publication.load_classifier), ("reduction.npz", publication.load_reduction)],
    ids=["classifier", "reduction"],
)
def test_a_missing_file_of_a_model_is_named_with_the_way_out(root, name, load):
    """Only `reduction.json` may be missing where nothing is damaged: a version that is not there has none."""
    objects.delete(f"{version_model.model_uri(root, VERSION)}/{name}")
    with pytest.raises(Damaged, match=rf"models/{VERSION}/{name}: is missing; readers get another version after .* rollback"):
        load(root)


def test_a_version_of_before_there_were_classifiers_says_what_makes_one(root):
    uri = f"{version_model.model_uri(root, VERSION)}/reduction.json"
    objects.write(uri, json.dumps({"version": VERSION, "rows": 30}).encode())
    with pytest.raises(NotFound, match=rf"{VERSION} of .* is of an earlier fruitpipe, without a classifier; run fruitpipe refit"):
        publication.load_classifier(root)


def test_a_flipped_byte_of_a_model_is_named_and_no_other_number_used(root):
    uri = f"{version_model.model_uri(root, VERSION)}/reduction.npz"
    body = bytearray(objects.read(uri))
    body[body.index(publication.load_reduction(root).mean.tobytes()) + 3] ^= 1
    objects.write(uri, bytes(body))
    with pytest.raises(Damaged, match=r"reduction\.npz: does not read back \(Bad CRC-32"):
        publication.load_reduction(root)

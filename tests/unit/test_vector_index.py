"""`fruitpipe publish --to s3vectors://…`: what an index holds after each version, asked of a server that checks each request."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fruitpipe import cli
from fruitpipe.errors import AccessDenied, NotFound, WrongUsage
from fruitpipe.export import publishing, vector_index, vectors_client
from fruitpipe.export import register as exports
from fruitpipe.export.register import Export
from fruitpipe.refit import publication, rollback
from tests import withdrawn_copies
from tests.vector_server import served
from tests.versions import publish_rows

NUMBERS = np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)
KIWI = {f's3://shop/Kiwi "a"/é {row}.jpg': NUMBERS[row] for row in range(6)}
LIME = {f"s3://shop/Lime/{row}.jpg": NUMBERS[row] for row in range(6, 12)}
PAGE = Path(__file__).parents[2] / "docs" / "publish.md"
PLACE = "s3vectors://shop/fruits"


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}/root"


@pytest.fixture
def vectors(monkeypatch):
    with served() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3VECTORS", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
        monkeypatch.delenv("FRUITPIPE_KMS_KEY", raising=False)
        vectors_client.client.cache_clear()
        yield server
        vectors_client.client.cache_clear()


def publish(root, place=PLACE):
    return publishing.publish(root, place, "", "")


def rows_of(root, version):
    """Label and numbers by path, by pyarrow's own reading of a version's folder."""
    rows = pq.read_table(publication.reduced_uri(root, version).removeprefix("file://")).to_pylist()
    return {row["path"]: (row["label"], row["pca_features"]) for row in rows}


def held(vectors, name):
    return {key: (metadata["label"], numbers) for key, (numbers, metadata) in vectors.of(name).items()}


def test_the_page_grants_what_is_asked_and_no_more(root, vectors):
    (policy,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    publish_rows(root, KIWI | LIME)
    publish(root)
    publish_rows(root, KIWI, basis="v000001")
    publish(root)
    publishing.take_away(root, PLACE)
    asked = {f"s3vectors:{name}" for name, _ in vectors.asked}
    assert set(json.loads(policy)["Action"]) == asked | {"s3vectors:GetVectors"}  # for the metadata of a list


@pytest.mark.usefixtures("vectors")
def test_a_name_that_s3_vectors_does_not_take_is_refused(root):
    publish_rows(root, KIWI)
    for place in ("s3vectors://shop", "s3vectors://shop/Fruits", "s3vectors://shop/a/b", f"s3vectors://shop/{'a' * 55}"):
        with pytest.raises(WrongUsage, match="give s3vectors://BUCKET/NAME"):
            publish(root, place)


def test_the_index_holds_the_numbers_of_the_version_and_says_which_version_each_is_of(root, vectors):
    version = publish_rows(root, KIWI | LIME)
    found = publish(root)
    assert (found.rows, found.done) == (12, "12 vectors written, 0 deleted")
    assert held(vectors, f"fruits-{version}") == rows_of(root, version)
    assert {(told["basis"], told["version"]) for _, told in vectors.of(f"fruits-{version}").values()} == {(version, version)}
    about = vectors.indexes["shop", f"fruits-{version}"]["about"]
    assert (about["dimension"], about["dataType"], about["distanceMetric"]) == (4, "float32", "euclidean")
    assert exports.every(root) == [Export(PLACE, f"fruits-{version}", version, "S3 Vectors index")]
    assert found.export.uri == f"s3vectors://shop/fruits-{version}"


def test_a_version_of_the_same_basis_writes_what_changed_and_deletes_what_is_gone_and_a_rollback_the_same(root, vectors):
    first = publish_rows(root, KIWI | LIME)
    publish(root)
    one, other, *_ = KIWI
    changed = {path: row for path, row in (KIWI | LIME).items() if path != one} | {
        other: NUMBERS[0],
        "s3://shop/Fig/1.jpg": NUMBERS[1],
    }
    second = publish_rows(root, changed, basis=first)
    vectors.asked.clear()
    assert publish(root).done == "2 vectors written, 1 deleted"
    assert held(vectors, f"fruits-{first}") == rows_of(root, second)
    assert [given["vectors"][0]["metadata"]["version"] for name, given in vectors.asked if name == "PutVectors"] == [second] * 2
    assert [given["keys"] for name, given in vectors.asked if name == "DeleteVectors"] == [[one]]
    assert publish(root).done == "0 vectors written, 0 deleted"
    rollback.roll_back(root, first)
    assert publish(root).done == "2 vectors written, 1 deleted"
    assert held(vectors, f"fruits-{first}") == rows_of(root, first)
    assert [entry.version for entry in exports.every(root)] == [first]


def test_a_version_of_another_basis_gets_an_index_of_its_own_and_the_one_before_goes_when_that_is_whole(root, vectors):
    first = publish_rows(root, KIWI | LIME)
    publish(root)
    second = publish_rows(root, {path: row[:3] for path, row in (KIWI | LIME).items()})
    vectors.asked.clear()
    publish(root)
    assert vectors.indexes.keys() == {("shop", f"fruits-{second}")}
    assert held(vectors, f"fruits-{second}") == rows_of(root, second)
    assert [given["indexName"] for name, given in vectors.asked if name != "DeleteIndex"] == [f"fruits-{second}"] * (
        len(vectors.asked) - 1
    )
    assert vectors.asked[-1] == ("DeleteIndex", {"vectorBucketName": "shop", "indexName": f"fruits-{first}"})


def test_a_run_that_was_refused_on_its_way_is_named_and_the_next_one_goes_on(root, vectors):
    first = publish_rows(root, KIWI | LIME)
    publish(root)
    second = publish_rows(root, dict(KIWI), basis=first)
    vectors.denied.add("DeleteVectors")
    with pytest.raises(AccessDenied, match=rf"s3vectors://shop/fruits-{first}: access is denied; grant s3vectors:DeleteVectors"):
        publish(root)
    assert [entry.version for entry in exports.every(root)] == [first, second]
    vectors.denied.clear()
    assert publish(root).done == "0 vectors written, 6 deleted"
    assert [entry.version for entry in exports.every(root)] == [second]


def test_requests_have_five_hundred_vectors_at_most_and_fewer_of_long_ones(root, vectors):
    rows = {f"s3://shop/Kiwi/{row}.jpg": np.full(1, row, np.float32) for row in range(1001)}
    first = publish_rows(root, rows)
    publish(root)
    assert [len(given["vectors"]) for name, given in vectors.asked if name == "PutVectors"] == [500, 500, 1]
    publish_rows(root, dict(list(rows.items())[:1]), basis=first)
    publish(root)
    assert [len(given["keys"]) for name, given in vectors.asked if name == "DeleteVectors"] == [500, 500]
    long = np.random.default_rng(2).normal(size=(150, 4096)).astype(np.float32)
    publish_rows(root, {f"s3://shop/Kiwi/{row}.jpg": numbers for row, numbers in enumerate(long)})
    vectors.asked.clear()
    publish(root)
    assert [len(given["vectors"]) for name, given in vectors.asked if name == "PutVectors"] == [146, 4]
    too_long = publish_rows(root, {"s3://shop/Kiwi/1.jpg": np.zeros(4097, np.float32)})
    with pytest.raises(WrongUsage, match=f"{too_long} has vectors of 4097 numbers, and S3 Vectors takes 4096 at the most"):
        publish(root)


def test_an_image_whose_name_is_longer_than_a_key_has_a_hash_for_it_and_its_name_in_the_metadata(root, vectors):
    path = f"s3://shop/Kiwi/{'é' * 1020}.jpg"
    version = publish_rows(root, {path: NUMBERS[0]})
    publish(root)
    ((key, (_, told)),) = vectors.of(f"fruits-{version}").items()
    assert key.startswith("sha256:")
    assert told["path"] == path


def test_an_index_of_another_root_is_left_alone_and_a_bucket_that_is_not_there_is_told(root, vectors, tmp_path):
    publish_rows(root, KIWI)
    publish(root)
    other = f"file://{tmp_path}/other"
    publish_rows(other, LIME)
    with pytest.raises(WrongUsage, match=r"s3vectors://shop/fruits-v000001 is there already, and not in the list of .*/other"):
        publish(other)
    assert held(vectors, "fruits-v000001") == rows_of(root, "v000001")
    with pytest.raises(
        NotFound, match="there is no such vector bucket or index; aws s3vectors create-vector-bucket makes a bucket"
    ):
        publish(other, "s3vectors://elsewhere/fruits")


def test_a_certificate_names_the_index_and_its_command_leaves_no_vector_of_the_image(root, vectors):
    image = next(iter(KIWI))
    wrong = publish_rows(root, KIWI | LIME)
    publish(root)
    withdrawn_copies.withdraw(root, image, KIWI | LIME)
    (told,) = withdrawn_copies.told(root, image)
    assert told["what"] == f"s3vectors://shop/fruits-{wrong}"
    assert told["until"].startswith(f"fruitpipe publish --root ROOT --to {PLACE} brings it in step")
    withdrawn_copies.carry_out(told, root)
    assert image not in vectors.of(f"fruits-{wrong}")
    assert withdrawn_copies.told(root, image) == []


def test_the_index_is_taken_away_and_a_region_outside_of_the_union_is_refused(root, vectors, capsys, monkeypatch):
    version = publish_rows(root, KIWI)
    publish(root)
    with pytest.raises(SystemExit) as ended:
        cli.main(["publish", "--root", root, "--to", PLACE, "--remove"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{PLACE}: {version} removed\n")
    assert (vectors.indexes, exports.every(root)) == ({}, [])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    vectors_client.client.cache_clear()
    with pytest.raises(SystemExit):
        cli.main(["publish", "--root", root, "--to", PLACE])
    assert f"{PLACE} lies in us-east-1, and data may lie in" in capsys.readouterr().err
    assert vectors.indexes == {}


def test_regions_are_allowed_with_blanks_between_them_as_the_jobs_take_them(root, vectors, monkeypatch):
    publish_rows(root, KIWI)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("FRUITPIPE_REGIONS", "eu-west-1, us-east-1")
    vectors_client.client.cache_clear()
    with pytest.raises(SystemExit) as ended:
        cli.main(["publish", "--root", root, "--to", PLACE])
    assert ended.value.code == 0
    assert vectors.indexes


def test_an_index_is_encrypted_with_the_key_that_is_named_by_its_arn(root, vectors, monkeypatch):
    version = publish_rows(root, KIWI)
    monkeypatch.setenv("FRUITPIPE_KMS_KEY", "alias/fruits")
    with pytest.raises(WrongUsage, match="FRUITPIPE_KMS_KEY=alias/fruits: a vector index takes a key by its ARN only"):
        publish(root)
    arn = "arn:aws:kms:eu-west-3:123456789012:key/0123"
    monkeypatch.setenv("FRUITPIPE_KMS_KEY", arn)
    publish(root)
    about = vectors.indexes["shop", f"fruits-{version}"]["about"]
    assert about["encryptionConfiguration"] == {"sseType": "aws:kms", "kmsKeyArn": arn}


def test_the_longest_name_that_is_taken_makes_an_index_name_that_s3_vectors_takes():
    assert len(vector_index.canonical(f"s3vectors://shop/{'a' * 54}").rpartition("/")[2] + "-v000012") == 62

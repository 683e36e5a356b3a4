"""Objects with versions: an erasure removes each, and leaves other keys alone."""

from __future__ import annotations

import os

import pytest

from fruitpipe import objects
from fruitpipe.erasure import places
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.errors import NotFound
from fruitpipe.objects import s3_connection, s3_removal
from tests.s3_proxy import Proxy, started


@pytest.fixture(params=["Enabled", "Suspended", None])
def bucket(request, versioned_s3, monkeypatch):
    s3_connection.connection.cache_clear()
    for name, value in versioned_s3.environment.items():
        monkeypatch.setenv(name, value)
    name, client = versioned_s3.bucket(), versioned_s3.s3
    if request.param:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        for key in ("a b.jpg", "a b.jpg.bak", "a%20b.jpg"):
            client.put_object(Bucket=name, Key=key, Body=body)
    if request.param == "Suspended":
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
    yield request.param, name
    s3_connection.connection.cache_clear()


def keys(versioned_s3, name):
    page = versioned_s3.s3.list_object_versions(Bucket=name)
    return sorted(found["Key"] for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())))


def test_a_file_that_an_erasure_rewrites_has_no_earlier_version_that_names_the_image(bucket, versioned_s3):
    _, name = bucket
    root, lines = f"s3://{name}/root", [b'{"path": "s3://b/erased.jpg"}\n', b'{"path": "s3://b/other.jpg"}\n']
    uri = f"{root}/events/2026/11/05/000000-test.jsonl"
    for body in (b"".join(lines), b"".join(reversed(lines))):
        objects.write(uri, body)
    places.empty_lines(places.files(root, "events"), Traces.of(["s3://b/erased.jpg"]))
    found = versioned_s3.s3.list_object_versions(Bucket=name, Prefix="root/")["Versions"]
    bodies = [versioned_s3.s3.get_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])["Body"].read() for one in found]
    assert bodies == [lines[1]]


def test_an_erased_object_is_gone_with_all_its_versions_and_no_marker_is_left(bucket, versioned_s3):
    kept, name = bucket
    assert objects.has_versions(f"s3://{name}/a b.jpg")
    assert objects.erase(f"s3://{name}/a b.jpg") == (2 if kept else 1)
    assert objects.erase(f"s3://{name}/a b.jpg") == 0
    assert not objects.has_versions(f"s3://{name}/a b.jpg")
    assert set(keys(versioned_s3, name)) == {"a b.jpg.bak", "a%20b.jpg"}


def test_an_object_that_was_deleted_before_still_has_versions_to_erase(bucket, versioned_s3):
    kept, name = bucket
    objects.delete(f"s3://{name}/a b.jpg")
    assert objects.has_versions(f"s3://{name}/a b.jpg") == bool(kept)
    objects.erase(f"s3://{name}/a b.jpg")
    assert "a b.jpg" not in keys(versioned_s3, name)


def test_purging_leaves_the_current_versions_alone(bucket, versioned_s3):
    kept, name = bucket
    objects.delete(f"s3://{name}/a b.jpg")
    assert objects.purge(f"s3://{name}") == (5 if kept else 0)
    assert keys(versioned_s3, name) == ["a b.jpg.bak", "a%20b.jpg"]
    assert objects.read(f"s3://{name}/a%20b.jpg") == b"2"


@pytest.mark.parametrize("bucket", ["Enabled", None], indirect=True)
def test_many_objects_and_versions_go_with_few_requests(bucket, versioned_s3, monkeypatch):
    kept, name = bucket
    monkeypatch.setattr(s3_removal, "AT_ONCE", 4)
    with started(Proxy(versioned_s3.endpoint)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        s3_connection.connection.cache_clear()
        assert objects.delete_all(f"s3://{name}") == 3
        assert objects.purge(f"s3://{name}") == (9 if kept else 0)
        assert keys(versioned_s3, name) == []
        counts = proxy.counts()
    assert (counts["POST"], counts["DELETE"]) == (4 if kept else 1, 0)  # 3 objects; 6 versions and then 3 markers


@pytest.mark.parametrize("bucket", ["Enabled", None], indirect=True)
def test_an_object_is_read_piece_by_piece(bucket):
    _, name = bucket
    uri, body = f"s3://{name}/in/a b+c%20d.jpg", bytes(range(256)) * 40
    objects.write(uri, body)
    (stat,) = objects.list_all(f"s3://{name}/in")
    with objects.opened(stat) as file:
        assert (file.seek(-10, os.SEEK_END), file.read(), file.read(5)) == (len(body) - 10, body[-10:], b"")
        assert (file.seek(1000), file.read(3), file.tell()) == (1000, body[1000:1003], 1003)
        assert file.seek(0) == 0
        assert file.read() == body
        objects.erase(uri)
        file.seek(0)
        with pytest.raises(NotFound):
            file.read(1)

"""`fruitpipe app` into S3, from a root in S3: objects that a browser takes as they lie there."""

from __future__ import annotations

import json

import pytest

from fruitpipe.app import golden, litert
from fruitpipe.export import register
from fruitpipe.objects import s3_connection
from tests import networks
from tests.apps import LABELS, made_once, publish, write
from tests.browsers import needs_chromium, opened

TYPES = {
    "index.html": "text/html; charset=utf-8",
    "sw.js": "text/javascript; charset=utf-8",
    "manifest.json": "application/json",
    "icon-192.png": "image/png",
}


@pytest.fixture
def _in_s3(s3):
    with s3.here():
        yield


@pytest.mark.usefixtures("_in_s3")
def test_the_objects_say_what_they_are_and_the_root_where_they_lie(s3, commands, tmp_path):
    root, place = (f"s3://{s3.bucket()}/{name}" for name in ("root", "app"))
    publish(root, tmp_path / "images")
    ended = commands.run(f"fruitpipe app --root {root} {place}")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{place}/index.html: v000001, {LABELS} labels, 40 golden pictures; ")
    (app,) = register.every(root)
    assert (app.place, app.version) == (place, "v000001")
    bucket, folder = place.split("/")[2], app.folder
    listed = s3.s3.list_objects_v2(Bucket=bucket)["Contents"]
    contract = json.loads(s3.s3.get_object(Bucket=bucket, Key=f"app/{folder}/contract.json")["Body"].read())
    inside = {one["Key"]: one["Size"] for one in listed if one["Key"].startswith(f"app/{folder}/")}
    del inside[f"app/{folder}/contract.json"]
    assert inside == {f"app/{folder}/{one['file']}": one["bytes"] for one in contract["files"]}
    expected = TYPES | {f"{folder}/page.js": TYPES["sw.js"], f"{folder}/runtime/litert_wasm_internal.wasm": "application/wasm"}
    found = {name: s3.s3.head_object(Bucket=bucket, Key=f"app/{name}")["ContentType"] for name in expected}
    assert found == expected
    kept = {name: s3.s3.head_object(Bucket=bucket, Key=f"app/{name}")["CacheControl"] for name in expected}
    assert {name for name, said in kept.items() if said == "no-cache"} == set(TYPES)
    assert {said for name, said in kept.items() if name not in TYPES} == {"max-age=31536000, immutable"}


def test_a_folder_that_is_removed_leaves_no_version_in_the_bucket(versioned_s3, tmp_path, monkeypatch):
    """Whether its version is published or not: what is forgotten could not be named by a later erasure."""
    s3_connection.connection.cache_clear()
    for name, value in versioned_s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = versioned_s3.bucket()
    versioned_s3.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wanted = golden.pictures()[:1]
    monkeypatch.setattr(golden, "pictures", lambda: wanted)
    publish(f"file://{tmp_path}/root", tmp_path / "images", model := networks.for_apps())
    folders = []
    with networks.in_place_of_ours(tmp_path / "network.tflite", model):
        for number in range(3):
            monkeypatch.setattr(litert, "files", lambda number=number: {"index.js": b"%d" % number})
            folders.append(write(f"file://{tmp_path}/root", f"s3://{bucket}/app").app.folder)
    listed = [versioned_s3.s3.list_object_versions(Bucket=bucket, Prefix=f"app/{folder}/") for folder in folders]
    assert ["Versions" in one for one in listed] == [False, True, True]
    assert "DeleteMarkers" not in listed[0]
    s3_connection.connection.cache_clear()


@needs_chromium
def test_a_browser_opens_it_there_and_names_a_picture_without_a_network(aws, browser, tmp_path):
    """On the emulator, which lets anybody read, as a bucket for a web site does."""
    s3_connection.connection.cache_clear()
    root, place = (f"s3://{aws.bucket()}/{name}" for name in ("root", "app"))
    (asked, *_) = publish(root, tmp_path / "images")
    with made_once():
        write(root, place)
    address = f"{aws.endpoint}/{place.removeprefix('s3://')}"
    with opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        assert found.check["difference"] == 0
        found.context.set_offline(True)
        found.page.reload()
        assert found.settled() == "ready"
        assert found.named(asked) == asked.parent.name
        assert found.said == []
        assert [url for url in found.asked if not url.startswith(f"{address}/")] == []

"""What a certificate says of a bucket that keeps versions: no version of any file under the root names the image any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fruitpipe import objects
from fruitpipe.erasure import places, register
from fruitpipe.erasure.execution import Eraser
from fruitpipe.erasure.steps import Steps
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings
from tests.raw_reader import hits, s3_versions
from tests.rows import empty_table


@pytest.fixture
def bucket(versioned_s3, monkeypatch):
    monkeypatch.setattr(places, "on_this_machine", lambda _: [])
    with versioned_s3.here():
        yield versioned_s3.bucket(keeps_versions=True)


class Script(Steps):
    """The steps that need Spark, done by saying so. after_remove: what happens between `remove` and the search."""

    versions = type("NoVersions", (), {"holding": lambda *_: []})()

    def withdraw(self, requests):
        past, root = str(datetime.now(UTC) - timedelta(hours=1)), self.settings.root
        for one in requests:
            register.redact(root, one.traces)
        records = [register.find(root, one.id) for one in requests]
        return [replace(record, status="waiting", step="remove", files_go_after=past) for record in records]

    def remove(self, requests):
        objects.purge(self.settings.root)
        self.after_remove()
        return [replace(one.record, status="searching", step="search") for one in requests]


def eraser(root, after_remove=lambda: None):
    settings = IngestSettings(images=f"{root}/../in", root=root, once=True)
    made = Eraser(None, settings, lambda: None)
    made._steps = Script(None, settings, lambda: None)
    object.__setattr__(made._steps, "after_remove", after_remove)
    return made


def test_a_record_whose_words_named_the_image_has_no_earlier_version_that_does(bucket, versioned_s3):
    root, image = f"s3://{bucket}/root", f"s3://{bucket}/in/Kiwi/erased.jpg"
    register.request(root, [f"s3://{bucket}/in/other.jpg"], requested_by=f"somebody, beside {image}")
    assert hits(s3_versions(versioned_s3.s3, bucket), ["erased.jpg"], ())
    empty_table(root)
    register.request(root, [image], requested_by="")
    eraser(root).carry_out()
    assert [record.status for record in register.every(root)] == ["done"] * 2
    assert hits(s3_versions(versioned_s3.s3, bucket), ["erased.jpg"], ()) == []


@pytest.mark.parametrize("is_found", [False, True])
def test_what_comes_and_goes_between_the_removal_and_the_certificate_leaves_no_version(bucket, versioned_s3, is_found):
    root, image = f"s3://{bucket}/root", f"s3://{bucket}/in/Kiwi/erased.jpg"
    empty_table(root)
    register.request(root, [image], requested_by="")
    events = (manifests.ImageEvent("removed", image), manifests.ImageEvent("created", f"s3://{bucket}/in/Lime/1.jpg"))
    late, orphan = f"{root}/events/2026/11/29/000000-s3-1.jsonl", f"{root}/features/part-1.txt"

    def come_and_go():
        objects.write(late, "".join(manifests.to_line(event) + "\n" for event in events).encode())
        objects.write(orphan, image.encode())
        if not is_found:
            objects.delete(late)
            objects.delete(orphan)

    eraser(root, come_and_go).carry_out()
    if is_found:
        objects.delete(orphan)  # as the stream's vacuum does, or its owner
        eraser(root).carry_out()
        eraser(root).carry_out()
    assert [record.status for record in register.every(root)] == ["done"]
    assert hits(s3_versions(versioned_s3.s3, bucket), ["erased.jpg"], ()) == []

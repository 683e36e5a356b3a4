"""Images in a bucket that somebody deleted, of which the root still has rows: they are erased, and hold nobody up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fruitpipe import objects
from fruitpipe.erasure import elsewhere, image_objects, notes, register, requested_images
from fruitpipe.erasure.execution import Eraser
from fruitpipe.erasure.request_list import Named
from fruitpipe.erasure.requested_images import Criteria
from fruitpipe.errors import NotFound
from fruitpipe.extractor import featurise
from fruitpipe.extractor.arrow_schema import Reference
from fruitpipe.pictures import thumbnails
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings
from tests.pictures import jpeg
from tests.rows import empty_table, put_rows

GONE = "s3://bucket-that-was-deleted/in/Kiwi/1.jpg"


@pytest.fixture
def root(s3, tmp_path):
    with s3.here():
        root = f"file://{tmp_path}/root"
        empty_table(root)
        put_rows(root, [objects.Stat(GONE, "e", 1, datetime.now(UTC))])
        yield root


def test_it_holds_nothing_of_an_image_and_is_told_apart_from_a_missing_object(root):
    assert (objects.has_versions(GONE), objects.erase(GONE), list(objects.uploads(GONE))) == (False, 0, [])
    with pytest.raises(NotFound, match="there is no bucket bucket-that-was-deleted"):
        objects.look(GONE)
    record = register.request(root, [GONE], requested_by="")
    assert image_objects.remove(root, record.id) == notes.Objects()
    assert image_objects.returned([GONE]) == []
    uploads = [line["answer"] for line in elsewhere.of(root, [GONE]) if line["asked"] == "ListMultipartUploads"]
    assert uploads == ["none of the images"]


@pytest.mark.parametrize("criteria", [Criteria([Named(GONE)]), Criteria(prefix=GONE.rpartition("/")[0]), Criteria(label="Kiwi")])
def test_the_rows_of_its_images_are_found_and_found_again_once_they_were_asked_for(root, criteria):
    assert requested_images.select(root, criteria).paths == [GONE]
    record = register.request(root, [GONE], requested_by="")
    image_objects.remove(root, record.id)
    chosen = requested_images.select(root, criteria)
    assert (chosen.paths, chosen.done) == ([], {record.id: 1})


def test_a_batch_keeps_the_row_of_an_image_there_and_a_report_shows_its_name_alone(root, s3):  # noqa: ARG001 - the connection
    there = f"s3://{s3.bucket()}/1.jpg"
    objects.write(there, jpeg(0))
    looked = featurise.Featuriser(None, "fingerprint", 50_000_000)._look(Reference(GONE))
    assert looked == objects.Unreadable("there is no bucket bucket-that-was-deleted; check the name and the account")
    assert [bool(picture) for picture in thumbnails.of([GONE, there])] == [False, True]


def test_late_news_of_an_erased_image_there_does_not_stop_the_stream(root):
    register.complete(root, register.request(root, [GONE], requested_by=""))
    objects.delete_all(f"{root}/features")
    late = manifests.ImageEvent("created", GONE)
    assert Eraser(None, IngestSettings(images="/images", root=root), lambda: None).admit([late]) == []

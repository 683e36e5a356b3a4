"""Versions of objects: how many of them are listed, and which rights their removal needs."""

from __future__ import annotations

import pytest

from fruitpipe import objects
from fruitpipe.objects import s3_versions
from fruitpipe.objects.stat import Gone, TooLarge


class Bucket:
    """A bucket with two versions of each key, which S3 lists in the order of the keys."""

    def __init__(self, *keys, status="Enabled", page=3):
        self.page = page
        self.keys, self.status, self.pages, self.removed, self.alone = sorted(keys), status, 0, [], []

    def get_bucket_versioning(self, Bucket):  # noqa: ARG002, N803 - boto3's words
        return {"Status": self.status} if self.status else {}

    def get_paginator(self, _):
        return self

    def paginate(self, Bucket, Prefix):  # noqa: ARG002, N803
        named = [key for key in self.keys if key.startswith(Prefix)]
        versions = [{"Key": key, "VersionId": id_, "IsLatest": id_ == "2", "Size": 1} for key in named for id_ in "21"]
        for page in (versions[first : first + self.page] for first in range(0, len(versions) or 1, self.page)):
            self.pages += 1
            yield {"Versions": page} if page else {}

    def delete_objects(self, Bucket, Delete):  # noqa: ARG002, N803
        self.removed += [(one["Key"], one["VersionId"]) for one in Delete["Objects"]]
        return {}

    def delete_object(self, Bucket, Key):  # noqa: ARG002, N803
        self.alone.append(Key)


@pytest.fixture
def served(monkeypatch):
    def served(bucket):
        monkeypatch.setattr(s3_versions, "client", lambda: bucket)
        return bucket

    return served


IMAGES = [f"images/{number:03}.jpg" for number in range(100)]


def test_a_folder_that_is_taken_for_an_image_is_known_to_be_none_by_one_page(served):
    bucket = served(Bucket(*IMAGES))
    assert not objects.has_versions("s3://fruits/images")
    assert objects.erase("s3://fruits/images") == 0
    assert (bucket.pages, bucket.removed) == (2, [])


def test_a_name_goes_with_all_its_versions_and_names_that_go_on_are_not_listed(served):
    bucket = served(Bucket("images/0", *IMAGES))
    assert objects.erase("s3://fruits/images/0") == 2
    assert (bucket.pages, bucket.removed) == (1, [("images/0", "2"), ("images/0", "1")])


def test_a_key_with_more_versions_than_a_page_goes_whole(served):
    bucket = served(Bucket("images/0", *IMAGES, page=1))
    assert objects.erase("s3://fruits/images/0") == 2
    assert bucket.pages == 3


def test_purging_a_root_lists_no_folder_whose_name_goes_on(served):
    bucket = served(Bucket(*(name.replace("images", "roots") for name in IMAGES), "root/a", "root/b"))
    assert objects.purge("s3://fruits/root") == 2
    assert (bucket.pages, bucket.removed) == (3, [("root/a", "1"), ("root/b", "1")])


def test_what_somebody_else_has_removed_needs_no_right_to_be_removed(served, monkeypatch):
    bucket = served(Bucket(status=None))
    for found, removed in ((Gone(), []), (TooLarge(None), ["images/0.jpg"])):
        monkeypatch.setattr(s3_versions, "look", lambda *_, found=found: found)
        assert objects.erase("s3://fruits/images/0.jpg") == len(removed)
        assert bucket.alone == removed

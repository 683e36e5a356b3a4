"""Objects removed in bulk, and what becomes of those that the store does not remove so."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from fruitpipe.objects import s3_removal


class Bucket:
    """Answers as S3 does where it removes no key of `stubborn` in bulk, or takes no request in bulk at all."""

    def __init__(self, *stubborn, bulk=True, locked=()):
        self.stubborn, self.bulk, self.locked, self.alone, self.together = stubborn, bulk, locked, [], []

    def delete_objects(self, Bucket, Delete):  # noqa: ARG002, N803 - boto3's words
        if not self.bulk:
            raise ClientError({"Error": {"Code": "MissingContentMD5"}}, "DeleteObjects")
        wanted = [one["Key"] for one in Delete["Objects"]]
        self.together.append(wanted)
        return {"Errors": [{"Key": key, "Code": "InternalError"} for key in wanted if key in self.stubborn]}

    def delete_object(self, Bucket, **one):  # noqa: ARG002, N803
        if one["Key"] in self.locked:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "DeleteObject")
        self.alone.append((one["Key"], one.get("VersionId")))


def named(*keys):
    return [{"Key": key, "VersionId": "1"} for key in keys]


def test_what_failed_in_bulk_is_asked_for_alone():
    bucket = Bucket("b")
    s3_removal.remove(bucket, "bucket", named("a", "b", "c"))
    assert (bucket.together, bucket.alone) == ([["a", "b", "c"]], [("b", "1")])


def test_what_may_not_be_removed_is_raised():
    with pytest.raises(ClientError, match="AccessDenied"):
        s3_removal.remove(Bucket("b", locked=("b",)), "bucket", named("a", "b", "c"))


def test_a_server_without_removal_in_bulk_is_asked_for_one_after_the_other():
    bucket = Bucket(bulk=False)
    s3_removal.remove(bucket, "bucket", [{"Key": "a"}, {"Key": "b"}])
    assert bucket.alone == [("a", None), ("b", None)]


def test_names_that_xml_cannot_carry_go_alone_and_no_others():
    bucket = Bucket()
    s3_removal.remove(bucket, "bucket", named("a\x01b", "line\nbreak", "p\u00eache \U0001f351", "\ufffe"))
    assert bucket.together == [["line\nbreak", "p\u00eache \U0001f351"]]
    assert [key for key, _ in bucket.alone] == ["a\x01b", "\ufffe"]


def test_no_request_names_more_than_the_store_takes():
    bucket = Bucket()
    s3_removal.remove(bucket, "bucket", named(*map(str, range(2001))))
    assert [len(together) for together in bucket.together] == [1000, 1000, 1]

"""Errors of S3 that are one image's, and not the platform's, though S3 is not even asked."""

from __future__ import annotations

import os

import pytest
from botocore.exceptions import ClientError

from fruitpipe import objects
from fruitpipe.erasure import image_objects
from fruitpipe.errors import NotFound, PlatformFault
from fruitpipe.extractor import featurise
from fruitpipe.extractor.arrow_schema import Reference
from fruitpipe.objects import s3_connection, s3_errors, s3_look


@pytest.fixture(autouse=True)
def _without_a_network(monkeypatch):
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    nobody = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_CONFIG_FILE": os.devnull}
    for name, value in (keys | nobody).items():
        monkeypatch.setenv(name, value)
    s3_connection.connection.cache_clear()
    yield
    s3_connection.connection.cache_clear()


@pytest.mark.parametrize("uri", ["s3://my bucket/a.jpg", "s3://f\u00fbchte/a.jpg", f"s3://{'b' * 256}/a.jpg"])
def test_an_image_in_a_bucket_that_there_cannot_be_is_a_row_of_its_own_and_ends_no_stream(uri):
    with pytest.raises(NotFound, match="there can be no bucket or object of this name; correct it"):
        objects.look(uri)
    looked = featurise.Featuriser(None, "fingerprint", 50_000_000)._look(Reference(uri))
    assert looked == objects.Unreadable("there can be no bucket or object of this name; correct it")
    assert (objects.has_versions(uri), objects.erase(uri), image_objects.returned([uri])) == (False, 0, [])


def test_a_bucket_whose_name_s3_refuses_is_none():
    error = ClientError({"Error": {"Code": "InvalidBucketName", "Message": "The specified bucket is not valid."}}, "GetObject")
    assert isinstance(s3_errors.explain("s3://B_/a.jpg", error), NotFound)


@pytest.mark.parametrize("code", ["KeyTooLongError", "InvalidURI"])
def test_a_key_that_s3_does_not_take_is_the_objects_own_trouble(code):
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")
    assert s3_look._nothing_found("s3://fruits/a.jpg", error) == objects.Unreadable(f"{code}: no")


def test_another_request_that_boto3_does_not_make_is_no_fault_of_the_name():
    with pytest.raises(PlatformFault, match="could not be reached"), s3_errors.explained("s3://fruits/a.jpg"):
        s3_connection.client().get_object(Bucket="fruits", Key="a.jpg", Unknown="")

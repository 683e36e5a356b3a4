"""URIs as text: nothing here asks a store.

A URI is written as people type it and never percent-encoded: ``s3://bucket/a b+c%20d.jpg`` names the key ``a b+c%20d.jpg``.
"""

from __future__ import annotations

import os
import re

from fruitpipe.errors import WrongUsage

UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")


def canonical(uri: str) -> str:
    """The one spelling of a URI: ``s3://bucket/key`` or ``file:///absolute/path``, without a trailing slash."""
    scheme, separator, rest = uri.partition(":")
    if scheme in ("s3", "s3a", "s3n") and rest.startswith("//") and rest.strip("/"):
        return "s3://" + rest.removeprefix("//").rstrip("/")
    if scheme == "file" and separator:
        return "file://" + os.path.abspath("/" + rest.lstrip("/"))
    if "://" in uri:
        raise WrongUsage(f"{uri}: not a place that fruitpipe can reach; give a local folder or s3://bucket/prefix")
    if not uri:
        raise WrongUsage("an empty URI: give a local folder or s3://bucket/prefix")
    return "file://" + os.path.abspath(uri)


def for_spark(uri: str) -> str:
    """The spelling that Spark and Hadoop give it themselves: ``s3a://``, which S3A serves on every platform, or ``file:/``."""
    return re.sub("^s3://", "s3a://", re.sub("^file:///", "file:/", uri))


def join(uri: str, *names: str) -> str:
    """The URI of something below `uri`."""
    return "/".join((uri.rstrip("/"), *names))


def name(uri: str) -> str:
    """The last part of a URI."""
    return uri.rstrip("/").rpartition("/")[2]


def is_unfinished(uri: str) -> bool:
    """Whether a file has the name that it bears in a folder until it is whole, and keeps where its writer was killed."""
    return UNFINISHED.fullmatch(name(uri)) is not None


def is_s3(uri: str) -> bool:
    """Whether the URI lies in S3."""
    return uri.startswith("s3://")


def bucket(uri: str) -> str:
    """The bucket that a URI lies in; empty for a local file."""
    return bucket_and_key(uri)[0] if is_s3(uri) else ""


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The parts of an ``s3://`` URI; the key of a bucket's own URI is empty."""
    of_bucket, _, key = uri.removeprefix("s3://").partition("/")
    return of_bucket, key


def real(uri: str) -> str:
    """Where a folder really lies, all links resolved; in S3 there are none."""
    return uri if is_s3(uri) else "file://" + os.path.realpath(uri.removeprefix("file://"))

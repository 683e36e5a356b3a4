"""Copies and logs that S3 makes by itself, which an erasure cannot reach: which are switched on, and what the user has to do.

Each is an entry of the record: what was asked, what S3 answered, and what to do.
"""

from __future__ import annotations

from collections.abc import Collection

from fruitpipe import objects
from fruitpipe.erasure import image_objects
from fruitpipe.errors import FruitpipeError

# What a copy holds, and what its owner does about it; {bucket} is the one that was asked.
TO_DO = {
    "versions": "none is left of the images and under the root: the erasure removes them",
    "object lock": "a locked version stays until its lock ends; `remaining` names those that were refused",
    "lifecycle": "nothing: rules only remove. One for noncurrent versions bounds how long those stay that nobody asked to erase",
    "access logs": "they hold the images' names: aws s3 rm --recursive the prefix, and let it expire in 30 days or less",
    "replicas": "they keep the images: erase there as well; a replica's versions are not deleted by deleting these",
    "inventory reports": "they hold the images' names: remove the reports in the bucket that is named, and let them expire",
    "metadata tables": "the journal holds the images' names: aws s3api delete-bucket-metadata-configuration --bucket {bucket}, "
    "and aws s3tables delete-table",
}
CLOUDTRAIL = {
    "what": "CloudTrail's data events",
    "asked": "nothing: an erasure has no right to ask CloudTrail",
    "answer": "unknown",
    "to_do": "where `aws cloudtrail get-event-selectors --trail-name NAME` tells of data events of S3, these hold images' names: "
    "let them expire in 30 days or less",
}


def of(root: str, paths: Collection[str]) -> list[dict[str, str]]:
    """The entries for the buckets of the root and of the images, `paths`; none where all of them are local folders."""
    buckets = sorted({uri.split("/")[2] for uri in (root, *paths) if objects.is_s3(uri)})
    return [*(line for bucket in buckets for line in _of_bucket(bucket)), _uploads(paths), CLOUDTRAIL] if buckets else []


def _of_bucket(bucket: str) -> list[dict[str, str]]:
    from fruitpipe.objects import bucket_settings

    return [
        {
            "what": f"{one.name} of the bucket {bucket}",
            "asked": one.operation,
            "answer": one.answer,
            "to_do": TO_DO[one.name].format(bucket=bucket) if one.answer != "off" else "nothing",
        }
        for one in bucket_settings.of_bucket(bucket)
    ]


def _uploads(paths: Collection[str]) -> dict[str, str]:
    try:
        left = len(image_objects.uploads_of(paths))
        answer = f"{left} of the images" if left else "none of the images"
    except FruitpipeError as error:
        answer = f"unknown: {type(error).__name__}"
    return {
        "what": "uploads in parts that were never completed",
        "asked": "ListMultipartUploads",
        "answer": answer,
        "to_do": "nothing" if answer.startswith("none") else "a lifecycle rule with AbortIncompleteMultipartUpload removes them",
    }

"""What deltalake is told of S3: endpoint, credentials and key as boto3 has them, so that all who use a bucket agree."""

from __future__ import annotations

import os

from fruitpipe import objects


def of(uri: str) -> dict[str, str]:
    """The options for the table at `uri`; none for a local folder."""
    if not objects.is_s3(uri):
        return {}
    from fruitpipe.objects import encryption, s3

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    local = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"} if endpoint else {}
    return s3.credentials(uri) | local | encryption.deltalake()

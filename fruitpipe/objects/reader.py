"""A GET from S3 at a sixth of boto3's processor time, by obstore. The only importer of obstore.

It vouches for the plain answers alone: the object, "not modified", "no such key" and "access denied". With anything else it
leaves the question to boto3, which asks once more: so there is one place that knows S3's other errors, redirects and retries.
"""

from __future__ import annotations

import html
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError, NotModifiedError, PermissionDeniedError
from obstore.store import S3Store

from fruitpipe.objects.stat import Found, Gone, Look, Stat, TooLarge, Unchanged, Unreadable, etag

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.credentials import ReadOnlyCredentials
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Credential

VALID = timedelta(minutes=10)  # of keys that botocore gives, at least; obstore asks for others when half of it is over
WHOLE_BODY = timedelta(minutes=15)  # that an image may take on a slow line
# A proxy, a certificate or a network may be such that only boto3 comes through: a circuit breaker. It opens at so many failures
# in a row, with no answer for so long, as the requests in flight fail together where a server is busy for a moment.
FAILURES = 8
SILENT_SECONDS = 10
OPEN_SECONDS = 300
NO_SUCH_KEY = "<Code>NoSuchKey</Code>"  # in S3's answer, which the error quotes
DENIED = "AccessDenied"  # of all codes that come with 403 the one that is about the object; others are about keys, or a clock
DENIAL = re.compile(rf"<Code>{DENIED}</Code>.*?<Message>(.*?)</Message>", re.DOTALL)
BUCKET = re.compile(r"[A-Za-z0-9._-]+")  # obstore puts a bucket's name into its URL as it is, and panics where that is none then
UNNAMEABLE = {"", ".", ".."}  # between the slashes of a key: obstore takes a key for a path, and would ask for another


class Endpoint(NamedTuple):
    """Where boto3 reaches a bucket, and with which keys."""

    url: str
    region: str
    credentials: Callable[[], ReadOnlyCredentials]


class Bucket:
    """A bucket's objects, at the endpoint that `find` finds when the first is asked for.

    For many threads: what they count need not be exact.
    """

    def __init__(self, name: str, find: Callable[[], Endpoint]) -> None:
        self.name = name
        self._find = find
        self._finding = threading.Lock()
        self._store: S3Store | None = None
        self._failures = 0
        self._answered_at = time.monotonic()
        self._open_until = 0.0

    def answers(self, key: str) -> bool:
        """Whether `get` may have an answer for `key`."""
        is_named = BUCKET.fullmatch(self.name) is not None and UNNAMEABLE.isdisjoint(key.split("/"))
        return is_named and time.monotonic() >= self._open_until

    def get(self, key: str, if_none_match: str | None, max_bytes: int | None) -> Look | None:
        """The object as `objects.look` returns it; None where boto3 has to be asked."""
        store = self._connected() if self.answers(key) else None
        if store is None:
            return None
        options: GetOptions = {"if_none_match": if_none_match} if if_none_match else {}
        try:
            answer = obstore.get(store, key, options=options)
            meta, uri = answer.meta, f"s3://{self.name}/{key}"
            stat = Stat(uri, etag(meta["e_tag"] or "", meta["version"]), meta["size"], meta["last_modified"])
            is_large = max_bytes is not None and stat.length > max_bytes  # whose body is left where it is
            look: Look = TooLarge(stat) if is_large else Found(stat, answer.bytes().to_bytes())
        except NotModifiedError:
            look = Unchanged()
        except FileNotFoundError as error:  # the object, or the bucket
            if NO_SUCH_KEY not in str(error):
                return None
            look = Gone()
        except PermissionDeniedError as error:
            if not (denial := DENIAL.search(str(error))):
                return None
            look = Unreadable(f"{DENIED}: {html.unescape(denial[1])}")
        except (BaseError, OSError, ValueError):  # obstore has words of Python's own for some
            return None
        self._failures, self._answered_at = 0, time.monotonic()
        return look

    def failed(self) -> None:
        """Notes that boto3 had an answer for a key for which `get` had none."""
        self._failures += 1
        now = time.monotonic()
        if self._failures >= FAILURES and now - self._answered_at >= SILENT_SECONDS:
            self._open_until = now + OPEN_SECONDS

    def _connected(self) -> S3Store | None:
        """Whoever comes while the endpoint is looked for waits; where there is none, the breaker opens."""
        with self._finding:
            if self._store is None and time.monotonic() >= self._open_until:
                try:
                    self._store = _store(self.name, self._find())
                except (BotoCoreError, ClientError, BaseError, OSError, ValueError):  # boto3 will say what it is
                    self._open_until = time.monotonic() + OPEN_SECONDS
            return self._store


def _store(bucket: str, endpoint: Endpoint) -> S3Store:
    def keys() -> S3Credential:
        frozen, expires_at = endpoint.credentials(), datetime.now(UTC) + VALID
        return {
            "access_key_id": frozen.access_key or "",
            "secret_access_key": frozen.secret_key or "",
            "token": frozen.token,
            "expires_at": expires_at,
        }

    client: ClientConfig = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": WHOLE_BODY}
    client["allow_http"] = endpoint.url.startswith("http:")
    return S3Store(
        bucket,
        aws_endpoint_url_s3=endpoint.url,  # by this name it comes before what the environment says
        region=endpoint.region,
        credential_provider=keys,
        virtual_hosted_style_request=False,  # whatever the environment says for other users of obstore's engine
        skip_signature=False,
        client_options=client,
        retry_config={"max_retries": 0},  # boto3 slows all of its requests down where a server is busy
    )

"""Tells a server of OpenLineage what jobs run on: events with URIs of prefixes and tables and with counts, no image's name.

The events and the way to the server are those of OpenLineage's own client. Its files and variables for settings are not read:
they could add to an event what nobody here has looked at.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError, MissingRequirement, WrongUsage
from fruitpipe.output import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openlineage.client.event_v2 import RunEvent

API_KEY = "OPENLINEAGE_API_KEY"  # as the client itself calls it
PRODUCER = "pkg:pypi/fruitpipe"
TIMEOUT_SECONDS = 2.0  # to connect, and as long again for the answer
PAUSE_SECONDS = 60.0  # in which a server that did not answer is not asked again, so that no stream waits for it at each batch
ROWS = "rows"  # the count of rows that a job wrote to its outputs


@dataclass(frozen=True)
class Job:
    """What a job is called, and the URIs of what it reads and writes."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass
class _Run:
    """A run of a job: what it counted, and by which error it ended, if by one."""

    job: Job
    id: str
    counts: Counter[str] = field(default_factory=Counter)
    error: BaseException | None = None


class Lineage:
    """Tells of the jobs of one root; without a URL it tells nothing. clock: in seconds, for the pause.

    Raises MissingRequirement without the client, WrongUsage for a URL that it does not take.
    """

    def __init__(self, root: str = "", url: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._url, self._clock = root, url, clock
        self._transport: Any = _transport(url) if url else None
        self._is_down, self._not_before = False, 0.0

    @contextmanager
    def run(self, job: Job) -> Iterator[Counter[str]]:
        """Tells of a run: START, and when the block ends COMPLETE, FAIL or, where it was interrupted, ABORT.

        Yields the counts, which the last event has; `ROWS` are also the statistics of the outputs. Whether the server answers
        makes no difference to the block.
        """
        if self._transport is None:
            yield Counter()
            return
        from openlineage.client.uuid import generate_new_uuid

        run = _Run(job, str(generate_new_uuid()))
        self._send("START", run)
        try:
            yield run.counts
        except BaseException as error:
            run.error = error
            self._send("ABORT" if isinstance(error, KeyboardInterrupt) else "FAIL", run)
            raise
        self._send("COMPLETE", run)

    def _send(self, state: str, run: _Run) -> None:
        if self._is_down and self._clock() < self._not_before:
            return
        try:
            self._transport.emit(_event(self._root, state, run))
        except (OSError, ValueError) as error:  # as all errors of requests are, and what it makes of a key no header can hold
            if not self._is_down:
                server = f"the OpenLineage server at {urlsplit(self._url).hostname}"
                say(f"warning: {server} took no event ({_reason(error)}); events are left out until it does", to=sys.stderr)
            self._is_down, self._not_before = True, self._clock() + PAUSE_SECONDS
        else:
            self._is_down = False
        finally:
            self._transport.close()  # a connection that idles while a job runs may be dropped without a word


def _transport(url: str) -> Any:
    """The client's way to a server; it tries each event once."""
    try:
        from openlineage.client.event_v2 import set_producer
        from openlineage.client.transport.http import HttpConfig, HttpTransport
    except ImportError as error:
        raise MissingRequirement("--openlineage-url needs openlineage-python; run: pip install 'fruitpipe[lineage]'") from error
    set_producer(PRODUCER)
    given: dict[str, Any] = {"url": f"{url.rstrip('/')}/", "timeout": TIMEOUT_SECONDS}
    given["retry"] = {"total": 0, "read": False, "status_forcelist": ()}
    if key := os.environ.get(API_KEY):
        given["auth"] = {"type": "api_key", "apiKey": key}
    try:
        return HttpTransport(HttpConfig.from_dict(given))
    except ValueError as error:
        raise WrongUsage(
            f"--openlineage-url {url}: the client takes no such URL; give http://HOST:PORT or https://HOST"
        ) from error


def _event(root: str, state: str, run: _Run) -> RunEvent:
    from openlineage.client import event_v2
    from openlineage.client.facet_v2 import RunFacet, error_message_run, output_statistics_output_dataset

    counts = {str(name): count for name, count in sorted(run.counts.items())}
    facets: dict[str, Any] = {"fruitpipe_counts": RunFacet().with_additional_properties(**counts)} if counts else {}
    if run.error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(_told(run.error), "python")
    written: dict[str, Any] = {}
    if ROWS in counts:
        written["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=counts[ROWS])
    return event_v2.RunEvent(
        eventType=event_v2.RunState[state],
        eventTime=datetime.now(UTC).isoformat(),
        run=event_v2.Run(run.id, facets),
        job=event_v2.Job(root, run.job.name),
        inputs=[event_v2.InputDataset(*named(uri)) for uri in run.job.inputs],
        outputs=[event_v2.OutputDataset(*named(uri), outputFacets=written) for uri in run.job.outputs],
    )


def named(uri: str) -> tuple[str, str]:
    """Namespace and name of a dataset, as OpenLineage's conventions have them for S3 and for local files."""
    if not objects.is_s3(uri):
        return "file", uri.removeprefix("file://")
    bucket, key = objects.bucket_and_key(uri)
    return f"s3://{bucket}", key or "/"


def _told(error: BaseException) -> str:
    """What its class says of an error: its own message may name images."""
    name = type(error).__name__
    return f"{name}: {type(error).__doc__}" if isinstance(error, FruitpipeError) else name


def _reason(error: Exception) -> str:
    answer = getattr(error, "response", None)
    return type(error).__name__ if answer is None else f"status {answer.status_code}"

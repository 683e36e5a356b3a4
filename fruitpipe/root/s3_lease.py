"""The writer's lease on S3: an object that its holder writes conditionally and renews. A lease that is not renewed expires.

No two machines' clocks are compared. The holder counts its lease from before each of its requests, by a clock that goes on while
the machine sleeps. A process that waits for the root counts from when it saw the record, and takes the root where the record was
not renewed for a whole lease.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, Conflict, FruitpipeError, LeaseLost, NotFound
from fruitpipe.output import say
from fruitpipe.root import layout, writer_record
from fruitpipe.root.writer_record import Record

RENEWALS = 4  # within one lease: three may fail before it is lost
# Of a lease: what the holder does not use at its end, as a commit may take so long, and what the next one waits beyond it. So
# clocks may differ in speed by a sixth.
MARGIN = 1 / 12
LOOKS = 30  # at a silent holder's record, within one lease


class Seen(NamedTuple):
    """A record as it was read, with its etag, on which a replacement is conditional."""

    record: Record
    etag: str


def clock() -> float:
    """Seconds of a clock that is never set and goes on while the machine sleeps, as macOS's monotonic clock does."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def outwaited_after(record: Record) -> float:
    """Seconds without a renewal after which a record's holder may write no more."""
    return record.lease_seconds * (1 + MARGIN)


class S3Lease:
    """The lease, held and renewed by a thread from construction until `release`. Raises OtherWriter where another holds it."""

    def __init__(self, root: str, seconds: float, clock: Callable[[], float] = clock) -> None:
        self._root, self._uri, self._clock = root, layout.place(root, layout.WRITER), clock
        self._me = writer_record.of_this_process(uuid.uuid4().hex, seconds)
        self._lost, self._is_released, self._done, self._tidies = False, False, threading.Event(), True
        self._etag: str | None = None
        self._take()
        self._thread = threading.Thread(target=self._renew_until_done, daemon=True, name="fruitpipe-lease")
        self._thread.start()

    def check(self) -> None:
        """Raises LeaseLost where another process may write now, or before a commit that begins now has ended."""
        is_over = self._clock() > self._valid_until - MARGIN * self._me.lease_seconds
        if self._lost or self._is_released or is_over:
            raise LeaseLost(f"{self._uri}: the lease was lost or not renewed; nothing more is written. Start the stream again")

    def release(self) -> None:
        """Releases the root: another may take it at once. If that fails, the lease expires by itself."""
        self._is_released = True  # a batch may still be in progress where the job ends with an error
        self._done.set()
        self._thread.join()
        if not self._lost:
            with suppress(FruitpipeError):
                self._write(self._etag, released=True)

    def _take(self) -> None:
        seen = self._look()
        if seen and not seen.record.released:
            seen = self._outwaited(seen)
        try:
            self._write(seen.etag if seen else None)
        except Conflict:
            first = self._look()
            raise writer_record.refusal(self._root, first.record if first else Record()) from None

    def _outwaited(self, seen: Seen) -> Seen | None:
        """Waits until a record was not renewed for a whole lease, or is released; returns it. Raises OtherWriter if renewed."""
        seconds = outwaited_after(seen.record)
        say(f"{self._root} is held by {seen.record}; it is taken over in {seconds:.0f} s, unless that one lives")
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            time.sleep(min(left, seconds / LOOKS))
            now = self._look()
            if now is None or now.record.released:
                return now
            if now.etag != seen.etag:
                raise writer_record.refusal(self._root, now.record)
        return seen

    def _look(self) -> Seen | None:
        try:
            body, etag = objects.read_with_etag(self._uri)
        except NotFound:
            return None
        return Seen(writer_record.parsed(body), etag)

    def _write(self, earlier: str | None, *, released: bool = False) -> None:
        """Replaces the record that has the etag `earlier`; None: there is none. Raises Conflict."""
        valid_until = self._clock() + self._me.lease_seconds
        record = self._me.written_now(released=released)
        condition: dict[str, Any] = {"if_etag": earlier} if earlier else {"if_absent": True}
        try:
            self._etag = objects.write(self._uri, record.to_bytes(), **condition)
        except Conflict:
            self._etag = self._written_after_all(record)
        self._valid_until = valid_until
        self._tidy(earlier)

    def _written_after_all(self, record: Record) -> str:
        """A write whose answer was lost is repeated by boto3, and then loses against itself; so does the renewal after it.

        Raises Conflict for somebody else's record.
        """
        there = self._look()
        if there and there.record == record:
            return there.etag
        if there is None or there.record.token != record.token:
            raise Conflict(f"{self._uri}: was written by somebody else first")
        return objects.write(self._uri, record.to_bytes(), if_etag=there.etag)

    def _tidy(self, earlier: str | None) -> None:
        """Removes the version that was replaced, where the bucket keeps versions: these would be 40,000 a week."""
        if not (earlier and self._tidies):
            return
        try:
            objects.drop_version(self._uri, earlier)
        except AccessDenied:  # it is left to the bucket's lifecycle
            self._tidies = False
        except FruitpipeError:  # one of many: the lease is renewed, which is what counts
            return

    def _renew_until_done(self) -> None:
        while not self._done.wait(self._me.lease_seconds / RENEWALS):
            try:
                self._write(self._etag)
            except Conflict:
                self._lost = True
                return
            except FruitpipeError:  # the store is out of reach: the next renewal may succeed before the lease ends
                continue

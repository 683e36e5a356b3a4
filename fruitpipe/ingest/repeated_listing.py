"""Lists the prefix again and again on a thread beside the stream, timed to end just before Spark's trigger."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fruitpipe.ingest.prefix_listing import Listing

PAUSE_SECONDS = 0.1  # from one listing to the next where there is no trigger to wait for
BEFORE_TRIGGER_SECONDS = 0.25  # a listing ends so long before Spark's trigger, which then finds its manifests


class RepeatedListing:
    """Lists the prefix again and again, on a thread, while a block runs."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._failure: BaseException | None = None
        self._begun, self._stopped = threading.Event(), threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Lists while the block runs, which begins once a manifest is written or the first listing has ended.

        Raises the first listing's error.
        """
        self._stopped.clear()
        self._begun.clear()
        thread = threading.Thread(target=self._repeat, daemon=True, name="fruitpipe-listing")
        thread.start()
        try:
            self._begun.wait()
            self.check()
            yield
        finally:
            self._stopped.set()
            thread.join()

    def check(self) -> None:
        """Raises the error that ended the listings, if one did."""
        if self._failure:
            raise self._failure

    def _repeat(self) -> None:
        try:
            while not self._stopped.is_set():
                began = time.monotonic()
                self._listing.list_once(lambda: not self._stopped.is_set(), self._begun.set)
                self._begun.set()
                took = time.monotonic() - began
                self._stopped.wait(pause(self._listing.settings.trigger_seconds, time.time(), took))
        except BaseException as error:  # noqa: BLE001 - `check` raises it on the job's thread
            self._failure = error
        finally:
            self._begun.set()


def pause(trigger_seconds: float, now: float, took: float) -> float:
    """Seconds until the next listing, so that it ends just before a trigger of Spark's: these are at whole multiples.

    now: seconds since the epoch. took: seconds that a listing takes.
    """
    if not trigger_seconds:
        return PAUSE_SECONDS
    return trigger_seconds - (now + took + BEFORE_TRIGGER_SECONDS) % trigger_seconds

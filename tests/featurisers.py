"""Featurisers that meet on purpose what is met seldom: a decoder that crashes or hangs, a store that refuses."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
from pyspark import cloudpickle

from fruitpipe import objects
from fruitpipe.extractor import featurise

DEADLY = b"what crashes a decoder"
SLOW = b"what keeps a decoder busy"


class DeadlyFeaturiser(featurise.Featuriser):
    """Its process is killed by an image that ends in DEADLY, as by a fault in a native decoder."""

    def _look(self, reference):
        found = super()._look(reference)
        if getattr(found, "body", b"").endswith(DEADLY):
            os.kill(os.getpid(), signal.SIGKILL)
        return found


class DeadlyAndSlowFeaturiser(DeadlyFeaturiser):
    """Besides, its decoder does not come back from an image that ends in SLOW."""

    def _decoded(self, body):
        if body.endswith(SLOW):
            time.sleep(600)
        return super()._decoded(body)


class RefusedFeaturiser(featurise.Featuriser):
    """The store gives it nothing."""

    def _look(self, _reference):
        return objects.Unreadable("AccessDenied: as the test has it")


@contextmanager
def used(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> Iterator[Callable[[type], None]]:
    """Gives what has the stream use another featuriser, of here or of `modules`, which Spark's workers do not have."""
    sent = sys.modules[__name__], *modules
    for module in sent:
        cloudpickle.register_pickle_by_value(module)
    yield lambda other: monkeypatch.setattr(featurise, "Featuriser", other)
    for module in sent:
        cloudpickle.unregister_pickle_by_value(module)

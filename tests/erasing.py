"""Requests to erase images and their steps, of which those that need Spark are only said to be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fruitpipe.erasure import register
from fruitpipe.erasure.steps import Steps

PAST, FUTURE = (str(datetime.now(UTC) + timedelta(hours=hours)) for hours in (-1, 1))


class NoVersions:
    """A root where nothing is published."""

    def holding(self, _):
        return []


class Script(Steps):
    """The steps that need Spark, done by saying so; the others as they are."""

    def __init__(self, settings, files_go_after=PAST):
        super().__init__(None, settings, lambda: None)
        object.__setattr__(self, "said", [])
        object.__setattr__(self, "files_go_after", files_go_after)

    versions = NoVersions()

    def withdraw(self, requests):
        self.said.append(("withdraw", len(requests)))
        return [replace(one.record, status="waiting", step="remove", files_go_after=self.files_go_after) for one in requests]

    def remove(self, requests):
        self.said.append(("remove", len(requests)))
        return [replace(one.record, status="searching", step="search") for one in requests]

    def look(self, requests, stopped):
        self.said.append(("look", len(requests)))
        return super().look(requests, stopped)


def request(root, *names):
    return register.request(root, [f"file:///images/{name}" for name in names], requested_by="")


def status(root):
    return [(record.status, record.step) for record in register.every(root)]

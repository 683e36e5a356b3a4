"""Copies of a version elsewhere, once an erasure has withdrawn it: what the certificate says, and what its command does."""

from __future__ import annotations

from unittest import mock

import pytest

from fruitpipe import cli
from fruitpipe.erasure import certificate, notes, places, register
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.refit import publication
from tests.versions import publish_rows


def withdraw(root, image, rows):
    """Has an erasure of `image` withdraw the current version for one of the other `rows`; returns the new one's name."""
    register.request(root, [image], requested_by="")
    wrong = publication.current(root)
    version = publish_rows(root, {path: row for path, row in rows.items() if path != image}, basis=wrong)
    publication.withdraw(root, [wrong])
    publication.discard(root, wrong)
    return version


def told(root, image):
    """What the certificate says is the user's to do."""
    (record,) = register.every(root)
    with mock.patch.object(places, "on_this_machine", return_value=[]):  # where other tests may have had Spark write
        return certificate.remaining(root, record, [], Traces.of([image]), notes.Objects())[1]


def carry_out(entry, root):
    """Runs the command that brings a copy in step."""
    with pytest.raises(SystemExit) as ended:
        cli.main(entry["until"].split(" brings")[0].replace("ROOT", root).split()[1:])
    assert ended.value.code == 0

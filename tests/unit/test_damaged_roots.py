"""Whatever befalls a file of a root, each command tells it in a line that names the file, or does not need it."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest

from fruitpipe import objects
from fruitpipe.erasure import notes, register
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.pictures import naming
from fruitpipe.pictures.naming import Naming
from fruitpipe.root import manifests
from fruitpipe.runtime import session
from tests.commands import heard
from tests.pictures import fill
from tests.rows import empty_table, put_rows
from tests.versions import publish

DAMAGES = {
    "missing": None,
    "cut": lambda body: body[: len(body) // 2],
    "flipped": lambda body: body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 0x80]) + body[len(body) // 2 + 1 :],
    "another's": lambda _: b'{"written": "by somebody else"}',
}
FILES = [
    "checkpoints/ingest/commits/0",
    "checkpoints/ingest/offsets/0",
    "checkpoints/ingest/sources/0/0",
    "cleared.json",
    "erasures/*.json",  # the certificate and the pending request, and what is kept for that
    "erasures/salt",
    "events/2026/11/05/*.jsonl",
    "labels.json",
    "models/v000001/reduction.json",
    "models/v000001/reduction.npz",
    "reduced/latest.json",
    "reports/v000001.html",
    "stale/*.jsonl",
    "writer.json",
]
COMMANDS = [
    "status --root {root}",
    "doctor --root {root}",
    "show --root {root} {images}/Kiwi/0000.jpg",
    "erase --root {root} {images}/Kiwi/0001.jpg --not-same-bytes",
    "rollback --root {root} v000001",
    "reconcile --root {root} --images {images} --dry-run",
    "ingest --root {root} --images {images} --once",
]


class SparkAskedFor(BaseException):
    """A job came as far as Spark, which these tests do without."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with images and a root that has something of everything, without Spark."""
    folder = tmp_path_factory.mktemp("sound")
    images, root = f"file://{folder}/images", f"file://{folder}/root"
    fill(folder / "images", 2)
    empty_table(root)
    put_rows(root, objects.list_all(images))
    publish(root)
    naming.keep(root, Naming(-1, (images,), False))
    old, new = (f"{images}/Kiwi/{name}.jpg" for name in ("gone", "asked"))
    register.complete(root, register.request(root, [old], requested_by="somebody"))
    notes.drop(root, register.every(root)[0].id)
    asked = register.request(root, [new], requested_by="somebody")
    notes.keep_traces(root, asked.id, Traces.of([new]))
    notes.keep_objects(root, asked.id, notes.Objects(1))
    notes.keep_left(root, asked.id, notes.Left())
    objects.write(f"{root}/writer.json", json.dumps({"holder": "a", "released": True}).encode())
    objects.write(f"{root}/cleared.json", json.dumps({"cleared_at": "2999-01-01T00:00Z"}).encode())
    objects.write(f"{root}/reports/v000001.html", b"<html>")
    objects.write(f"{root}/checkpoints/ingest/sources/0/0", b'v1\n{"path":"file:///x.jsonl","timestamp":1,"batchId":0}\n')
    objects.write(f"{root}/checkpoints/ingest/commits/0", b"v1\n{}")
    objects.write(f"{root}/checkpoints/ingest/offsets/0", b'v1\n{}\n{"logOffset":0}\n')
    line = manifests.to_line(manifests.ImageEvent("created", f"{images}/Kiwi/0000.jpg")).encode() + b"\n"
    for place in ("events/2026/11/05/000000-test.jsonl", "stale/20261105T000000000000-000001-0.jsonl"):
        objects.write(f"{root}/{place}", line)
    shutil.copytree(folder / "root", folder / "whole")
    return folder


@pytest.mark.parametrize("pattern", FILES)
def test_each_command_names_a_file_of_the_root_that_is_damaged_or_does_without_it(sound, monkeypatch, pattern):
    monkeypatch.setattr(session, "open", asked_for)
    wrong = []
    for file in sorted((sound / "whole").glob(pattern)):
        for (damage, damaged), command in itertools.product(DAMAGES.items(), COMMANDS):
            shutil.rmtree(sound / "root")
            shutil.copytree(sound / "whole", sound / "root")
            target = sound / "root" / file.relative_to(sound / "whole")
            target.unlink() if damaged is None else target.write_bytes(damaged(file.read_bytes()))
            if fault := fault_of(command.format(root=f"file://{sound}/root", images=f"file://{sound}/images"), target, damage):
                wrong.append(f"{target.name} is {damage}: {fault}")
    assert list((sound / "whole").glob(pattern))
    assert not wrong, "\n".join(wrong)


def asked_for(*_):
    raise SparkAskedFor


def fault_of(command, target, damage):
    """What is wrong with how the command ends."""
    try:
        ended = heard(f"fruitpipe {command}")
    except SparkAskedFor:
        return ""
    except Exception as error:  # noqa: BLE001 - which would be a traceback
        return f"{command}: {error!r}"
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    if ended.code == 0 or command.startswith("doctor"):  # which prints all that it finds, line by line
        return ""
    is_named = damage == "missing" or target.name in errors[0]
    return "" if (ended.code, len(errors), is_named) == (1, 1, True) else f"{command}: {ended}"

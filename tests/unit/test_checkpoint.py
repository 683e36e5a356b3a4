"""What Spark's checkpoint says of the manifests that are behind it; the files are as Spark 4.0 writes them."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from fruitpipe import objects
from fruitpipe.errors import Damaged
from fruitpipe.ingest import checkpoint


@pytest.fixture
def place(tmp_path):
    return f"file://{tmp_path}/check points/prefix"


def taken(name, batch):
    entry = {"path": f"file:///a%20root/events/2026/11/05/{name}.jsonl", "timestamp": 1, "batchId": batch, "action": "add"}
    return json.dumps(entry)


def write(place, name, *lines):
    objects.write(objects.join(place, name), "\n".join(("v1", *lines)).encode())


def uris(*names):
    return {f"file:///a root/events/2026/11/05/{name}.jsonl" for name in names}


def test_a_manifest_is_behind_when_the_batch_that_took_it_is_committed(place):
    for number, offset in enumerate(('{"logOffset":0}', '{"logOffset":0}', '{"logOffset":2}')):
        write(place, f"offsets/{number}", "{}", offset, '{"logOffset":7}')
    for number in range(3):
        write(place, f"sources/0/{number}", taken(f"m{number}", number))
    for number in range(2):
        write(place, f"commits/{number}", "{}")
    assert checkpoint.manifests_read(place) == uris("m0")
    write(place, "commits/2", "{}")
    assert checkpoint.manifests_read(place) == uris("m0", "m1", "m2")


def test_a_compacted_list_stands_for_all_before_it(place):
    write(place, "offsets/12", "{}", '{"logOffset":10}')
    write(place, "commits/12", "{}")
    write(place, "sources/0/8", taken("double", 8))
    write(place, "sources/0/9.compact", *(taken(f"m{number}", number) for number in range(10)))
    write(place, "sources/0/10", taken("m10", 10))
    write(place, "sources/0/11", taken("not yet", 11))
    assert checkpoint.manifests_read(place) == uris(*(f"m{number}" for number in range(11)))


@pytest.mark.parametrize("offset", ["-", '{"logOffset":-1}'])
def test_without_manifests_none_is_behind(place, offset):
    assert checkpoint.manifests_read(place) == set()
    write(place, "offsets/0", "{}", offset, '{"logOffset":0}')
    write(place, "commits/0", "{}")
    assert checkpoint.manifests_read(place) == set()


def test_a_checkpoint_is_old_by_when_it_was_begun(place):
    assert not checkpoint.is_old(place, days=1)
    objects.write(objects.join(place, "metadata"), b"{}")
    objects.write(objects.join(place, "commits/0"), b"v1\n{}")
    assert not checkpoint.is_old(place, days=1)
    day_ago = time.time() - 86_401
    os.utime(objects.join(place, "metadata").removeprefix("file://"), (day_ago, day_ago))
    assert checkpoint.is_old(place, days=1)


def test_of_a_damaged_checkpoint_no_other_folder_is_named_to_be_removed(tmp_path):
    root = f"file://{tmp_path}/checkpoints/fruits"
    write(checkpoint.place(root), "commits/0", "{}")
    write(checkpoint.place(root), "offsets/0", "nonsense")
    with pytest.raises(Damaged, match=re.escape(f"remove {root}/checkpoints while no stream runs")):
        checkpoint.manifests_read(checkpoint.place(root))

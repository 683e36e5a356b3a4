"""What a root's state counts, and how often what is stored is listed, which costs requests."""

import json

from fruitpipe import objects
from fruitpipe.operations import status
from fruitpipe.refit import version_model
from fruitpipe.table.snapshot import Snapshot
from tests.pictures import fill
from tests.rows import empty_table, put_rows
from tests.versions import publish


def test_what_is_stored_is_listed_at_the_first_look_and_once_a_minute(tmp_path):
    seconds = [0.0]
    root = f"file://{tmp_path}"
    objects.write(f"{root}/features/a", b"12")
    sizes = status.Sizes(root, lambda: seconds[0])
    assert sizes() == {"features": 2}
    objects.write(f"{root}/features/b", b"345")
    seconds[0] = 59.0
    assert sizes() == {"features": 2}
    seconds[0] = 60.0
    assert sizes() == {"features": 5}


def test_a_row_that_the_version_set_aside_is_not_newer_for_ever(tmp_path):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    fill(tmp_path / "images", 33)
    put_rows(root, objects.list_all(f"file://{tmp_path}/images"))
    publish(root)  # 30 rows
    assert status.of(Snapshot(root)).not_in_current == 3
    facts = f"{version_model.model_uri(root, 'v000001')}/reduction.json"
    objects.write(facts, json.dumps(json.loads(objects.read(facts)) | {"rows_set_aside": 2}).encode())
    assert status.of(Snapshot(root)).not_in_current == 1

"""What is done between two batches never meets one that is in progress: a vacuum that began then could take its files."""

from __future__ import annotations

from types import SimpleNamespace

from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.settings import IngestSettings


def test_what_is_to_be_done_between_batches_is_not_done_while_one_is_in_progress(tmp_path):
    done = []

    def lines():
        batches.between(lambda: done.append("while it is in progress"))
        return []

    eraser = SimpleNamespace(admit=lambda named: named)
    batches = Batches(IngestSettings(images=str(tmp_path), root=str(tmp_path)), lambda *_: iter(()), eraser)
    batches(SimpleNamespace(collect=lines), 0)
    batches.between(lambda: done.append("after it"))
    assert done == ["after it"]

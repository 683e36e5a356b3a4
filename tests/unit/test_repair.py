"""What a repair says to whoever asked for it; on Spark it is tested with the reconciliation."""

from __future__ import annotations

import pytest

from fruitpipe.ingest import repair
from fruitpipe.jobs.reconcile import take_out_lost_files
from fruitpipe.pictures import naming
from fruitpipe.pictures.naming import Naming
from fruitpipe.settings import ReconcileSettings
from fruitpipe.table.data_integrity import Loss
from fruitpipe.table.snapshot import DataFile


@pytest.mark.parametrize("losses", [[], [Loss(DataFile("part-1.parquet", 9, 5), "is missing")]])
def test_a_repair_tells_of_other_prefixes_whose_images_may_have_been_in_a_lost_file(tmp_path, monkeypatch, capsys, losses):
    root = f"file://{tmp_path}/root"
    naming.keep(root, Naming(-1, ("file:///fruit", "file:///nuts"), False))
    monkeypatch.setattr(repair, "losses", lambda _: losses)
    settings = ReconcileSettings(images="/fruit", root=root, repair=True, dry_run=True)
    assert take_out_lost_files(settings) is bool(losses)
    said = capsys.readouterr().out.splitlines()
    assert "5 rows" in said[-2] if losses else "0 rows" in said[-1]
    assert any(f"fruitpipe reconcile --images file:///nuts --root {root} too" in line for line in said) is bool(losses)
    assert not any("--images file:///fruit" in line for line in said)

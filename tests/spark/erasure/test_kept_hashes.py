"""The hashes that are kept between starts are those of a full reading, whatever the stream and its upkeep do to the table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from delta.tables import DeltaTable

from fruitpipe.table import delta, kept_hashes, path_hashes, upkeep
from fruitpipe.table.row_store import joined
from tests.pictures import fill, jpeg, put


@pytest.fixture(autouse=True)
def _kept_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_hashes, "WORTH", 1)
    monkeypatch.setattr(kept_hashes, "place", lambda _: tmp_path / "cache" / "hashes")
    (tmp_path / "cache").mkdir()


@pytest.fixture
def readings(monkeypatch):
    """One entry for each reading of all rows by the kept hashes."""
    readings, of_table = [], path_hashes.of_table
    monkeypatch.setattr(kept_hashes.path_hashes, "of_table", lambda *given: readings.append(given) or of_table(*given))
    return readings


@pytest.fixture
def check(images, root, readings):
    """Compares what is kept with a full reading; returns how many rows there are, and whether all were read for it."""

    def check():
        before = len(readings)
        kept = kept_hashes.of_rows(root, f"file://{images}")
        was_read, whole = len(readings) > before, path_hashes.of_rows(root, f"file://{images}")
        assert [column.tolist() for column in rows(kept)] == [column.tolist() for column in rows(whole)]
        return len(kept), was_read

    return check


def rows(index):
    return joined([part for (part,) in index.parts()])


def test_they_follow_all_that_changes_rows_and_all_that_changes_none(spark, images, root, run, catch_up, check):
    fill(images, 8)
    run()
    assert check() == (8, True)
    fill(images, 3, "Lime", first=8)
    run()
    assert check() == (11, False), "after an append"
    put(images / "Kiwi" / "0002.jpg", jpeg(99))
    (images / "Kiwi" / "0003.jpg").touch()
    (images / "Kiwi" / "0004.jpg").unlink()
    catch_up()
    assert check() == (10, False), "after a merge"
    upkeep.compact(spark, root, 10_000_000)
    assert check() == (10, False), "after a compaction"
    DeltaTable.forPath(spark, delta.features_uri(root)).delete("path LIKE '%0005.jpg'")
    upkeep.vacuum(spark, root, 0, datetime.now(UTC))
    assert check() == (9, True), "after a vacuum that leaves nothing of the change"
    assert check() == (9, False)


def test_an_erasure_drops_them_where_nothing_reads_them_again(images, run, erase, check, tmp_path):
    uris = fill(images, 6)
    run()
    assert check()[0] == 6
    of_erased, kept = path_hashes.of_path(uris[1]).to_bytes(8, "little"), tmp_path / "cache" / "hashes"
    assert of_erased in kept.read_bytes()
    erase(uris[1])
    assert "no trace found" in run(source="events")
    assert not kept.exists()
    assert check()[0] == 5
    assert of_erased not in kept.read_bytes()

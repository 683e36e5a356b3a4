"""A few seeds of what `make soak` runs whole: the stream's table is what the images say, whatever happened on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from fruitpipe.jobs.ingest import ingest
from fruitpipe.settings import IngestSettings
from fruitpipe.table import delta
from tests.soak import cold_warm_edit, histories
from tests.soak.ingest_kills import Soak, in_this_session, stream_on
from tests.soak.odd_pictures import check, write_all

pytestmark = pytest.mark.usefixtures("spark")  # the jobs find the session that is there

ROUNDS = range(4, 6)  # the driver and a worker are killed, and each time another one while the stream recovers


@pytest.mark.soak
def test_a_stream_that_is_killed_ends_in_the_table_of_an_undisturbed_one(tmp_path):
    soak = Soak(tmp_path, stream_on(None, tmp_path), **in_this_session(), kinds=("driver", "worker"))
    soak.run(ROUNDS, seed=1)
    assert (soak.kills, soak.stream.stops) == (2 * len(ROUNDS), 0), soak.stream.log.read_text()


@pytest.mark.soak
def test_after_any_history_the_table_equals_the_folder():
    counts = histories.run(3, None)
    assert counts["histories"] >= 3


def test_the_model_is_called_for_what_is_new_and_for_nothing_else(tmp_path):
    assert cold_warm_edit.cold_warm_edit(tmp_path, 50) == {"cold": 50, "warm": 0, "edited": 25}


def test_every_bad_picture_has_its_code_and_every_odd_one_the_features_of_what_a_person_sees(spark, tmp_path, root):
    chosen = write_all(tmp_path / "images", large=False)
    ingest(IngestSettings(images=str(tmp_path / "images"), root=root, once=True))
    rows = {Path(row["path"]).name: row.asDict() for row in delta.rows(spark, root).collect()}
    assert set(rows) == set(chosen)
    for name, row in rows.items():
        check(name, chosen[name], row)

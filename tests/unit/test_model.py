"""Histories of the model in memory: some told step by step, and random ones; `tests/soak/model.py` runs those for minutes."""

import random
from collections import Counter
from datetime import UTC, datetime
from unittest import mock

import pytest

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.ingest import query
from fruitpipe.refit import publication, version_model
from fruitpipe.root import lease
from fruitpipe.table import commits, data_files, delta
from tests.model.machine import Machine
from tests.model.rows import ROWS
from tests.model.runs import run, told
from tests.model.table import Version

PICTURES = [0, 1, 2]


@pytest.fixture(autouse=True)
def counts(monkeypatch):
    """Each history counts for itself."""
    monkeypatch.setattr(Machine, "counts", Counter())


@pytest.fixture
def history():
    """One that is told step by step."""
    with told(Machine) as history:
        yield history


def begin_and_break_off():
    with told(Machine) as history:
        history.begin(kind="s3", bodies=PICTURES)
        raise ZeroDivisionError


@pytest.mark.parametrize("breaks_in", ["a step", "the doors"])
def test_a_history_that_breaks_off_leaves_the_product_as_it_was(monkeypatch, breaks_in):
    own = objects.local, delta.create, lease.held, commits.merge
    if breaks_in == "the doors":
        monkeypatch.delattr(query, "start")
    with pytest.raises((ZeroDivisionError, AttributeError)):
        begin_and_break_off()
    assert (objects.local, delta.create, lease.held, commits.merge) == own


def test_late_word_of_an_erased_image_begins_no_file_that_names_it(history):
    begun = []
    history.begin(kind="s3", bodies=PICTURES)
    late = [event for event in history.pending if event.path.endswith("PNG")]
    history.quiet()
    history.erase(number=2, keep_object=False)
    history.quiet()
    assert history.erased == {"Label=x/pêche.PNG"}
    history.upload(name="Kiwi/a b.jpg", body=3)  # beside one that has a row, which takes a merge
    history._deliver([*late, *history.pending])
    write = data_files.Writer.write

    def writing(writer, outcomes):
        begun.append(outcomes["path"].to_pylist())
        return write(writer, outcomes)

    with mock.patch.object(data_files.Writer, "write", writing):
        history._run("events")
    assert begun == [[f"{history.ground.images}/Kiwi/{name}" for name in ("a b.jpg", "a%20b.jpg")]]
    history.teardown()


def test_an_archived_image_does_not_keep_a_refit_of_another_extractor_waiting(history):
    history.begin(kind="s3", bodies=PICTURES)
    history.quiet()
    history.archive(number=0)
    history.upgrade()
    history.quiet()
    history.refit(dies=None, keep=None, unless_current=False)
    history.quiet()
    assert history.counts["versions that left rows out"] == 1
    history.teardown()


def test_an_archived_image_that_is_put_again_with_its_bytes_is_looked_at_though_no_event_tells_of_it(history):
    history.begin(kind="s3", bodies=PICTURES)
    history.archive(number=0)
    history.quiet()
    history.overwrite(number=0, body=None, later=True)
    history.quiet()
    history.teardown()


@pytest.mark.parametrize("same_moment", [False, True])
@pytest.mark.parametrize("is_archived", [False, True])
def test_of_two_rows_of_one_image_one_with_features_is_left_though_the_store_gives_it_no_more(history, is_archived, same_moment):
    history.begin(kind="s3", bodies=PICTURES)
    history.quiet()
    table = history.ground.table
    row = next(row for row in table.now.rows() if row["path"].endswith("a b.jpg"))
    again = row if same_moment else row | {"features": None, "error": "archived", "ingested_at": datetime.now(UTC)}
    name = table._written([again], ROWS)
    table._commit([{"add": table._add(name)}], Version({**table.now.files, name: [again]}, table.now.number, [("insert", name)]))
    if is_archived and not same_moment:
        history.archive(number=0)
    history.quiet()
    history.teardown()


@pytest.mark.parametrize("has_row", [False, True])
def test_an_erased_image_beside_one_whose_name_is_its_own_percent_encoded_goes_and_the_other_stays(history, has_row):
    history.begin(kind="folder", bodies=PICTURES)
    history.quiet() if has_row else history.list(files=100, dies=None, removals=False)
    history.erase(number=0, keep_object=False)
    assert history.erased == {"Kiwi/a b.jpg"}
    history.quiet()
    assert "Kiwi/a%20b.jpg" in history.bucket.objects
    history.teardown()


def test_a_version_whose_label_was_a_picture_that_is_erased_under_a_later_name_is_replaced(history):
    history.begin(kind="s3", bodies=PICTURES)
    history.quiet()
    history.refit(dies=None, keep=None, unless_current=False)
    history.rename_label(label="Label=x", to="Pear")
    history.quiet()
    assert publication.versions(history.ground.root) == ["v000001"]
    history.erase(number=2, keep_object=False)
    assert history.erased == {"Pear/pêche.PNG"}
    history.quiet()
    assert publication.versions(history.ground.root) == ["v000002"]
    history.teardown()


def test_a_version_whose_label_is_a_picture_that_stays_under_another_name_stays_too(history):
    history.begin(kind="s3", bodies=[0, 1, 2])
    history.quiet()
    history.refit(dies=None, keep=None, unless_current=False)
    history.upload(name="top.jpg", body=2)
    history.quiet()
    history.erase(number=3, keep_object=False)
    assert history.erased == {"top.jpg"}
    history.quiet()
    assert publication.versions(history.ground.root) == ["v000001"]
    history.teardown()


def test_an_erasure_ends_where_the_list_of_what_was_made_elsewhere_cannot_be_read(history):
    history.begin(kind="folder", bodies=PICTURES)
    history.quiet()
    root = history.ground.root
    objects.write(f"{root}/models/exports.json", b"[{")
    history.erase(number=0, keep_object=False)
    history._ingest("events")
    (record,) = register.every(root)
    assert record.status == "done"
    assert "their list can be read" in [one["until"] for one in record.remaining]
    history.teardown()


STEPS = (
    "table.commits.remove",
    "refit.publication.withdraw",
    "erasure.places.empty",
    "table.upkeep.vacuum",
    "erasure.notes.drop",
)


def breaks(*_arguments, **_named):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["folder", "s3"])
@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_that_breaks_off_is_carried_out_by_the_next_run(history, monkeypatch, step, kind):
    history.begin(kind=kind, bodies=PICTURES)
    history.quiet()
    history.refit(dies=None, keep=None, unless_current=False)
    before = history.ground.rows()
    history.erase(number=0, keep_object=False)
    with monkeypatch.context() as broken:
        broken.setattr(f"fruitpipe.{step}", breaks)
        with pytest.raises(KeyboardInterrupt):
            history._ingest("events")
    history._ingest("events")
    root = history.ground.root
    assert [record.status for record in register.every(root)] == ["done"]
    history._check_erased()
    assert sorted(row["path"] for row in history.ground.rows()) == sorted(
        row["path"] for row in before if row["path"] != history.bucket.uri(*history.erased)
    )
    history._check_versions()
    assert version_model.load_model(root, publication.current(root)).facts["rows"] == len(PICTURES) - 1
    history.teardown()


def test_a_writer_that_wakes_too_late_removes_what_it_wrote_of_an_image_that_was_erased_meanwhile(history):
    history.begin(kind="s3", bodies=PICTURES)
    history.event(order=random.Random(0), lost=0, twice=False)
    files = history.ground.store.files

    def erasing():
        begun = {uri: file for uri, file in files.items() if "/features/part-" in uri}
        history.erase(number=0, keep_object=False)
        history._run("events")
        files.update(begun)  # younger than the grace of a real erasure, whose vacuum leaves it

    with history.ground.suspended(erasing):
        history._run("events")
    assert history.counts["runs that met LeaseLost"] == 1
    history._check_erased()
    history.teardown()


def test_after_random_histories_the_table_follows_from_the_bucket():
    assert steps(run(Machine, histories=15, steps=50, seed=0)) > 400


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_after_twenty_thousand_steps_of_random_histories_the_table_follows_from_the_bucket():
    assert steps(run(Machine, histories=560, steps=50, seed=1)) > 20_000


def steps(counts):
    return sum(count for what, count in counts.items() if what.startswith("steps: "))

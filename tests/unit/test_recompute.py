"""Rows of another extractor: what is asked for is carried out, no faster than it was chosen."""

from __future__ import annotations

import pytest

from fruitpipe import objects
from fruitpipe.erasure import register
from fruitpipe.erasure.execution import Eraser
from fruitpipe.errors import WrongRoot
from fruitpipe.ingest import recompute
from fruitpipe.ingest.micro_batch import Batches
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings


@pytest.fixture
def root(tmp_path):
    return f"file://{tmp_path}"


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    monkeypatch.setattr(recompute, "time", Clock())
    return recompute.time


def paths(count, first=0):
    return [f"s3://b/in/Kiwi/{number:05}.jpg" for number in range(first, first + count)]


@pytest.fixture
def computed():
    return []


@pytest.fixture
def work(root, computed):
    def work(images_per_second):
        return recompute.Recomputation(root, images_per_second, lambda named: computed.extend(event.path for event in named))

    return work


def test_manifests_are_carried_out_in_the_order_of_the_table_and_then_are_gone(root, work, computed):
    asked = paths(1200)[::-1]
    assert recompute.ask(root, asked) == 3
    recomputation = work(50)
    while recomputation.finish():
        pass
    assert computed == asked
    assert not objects.exists(f"{root}/stale")


def test_no_more_images_a_second_than_were_chosen(root, work, computed, clock):
    recompute.ask(root, paths(1500))
    recomputation = work(50)
    for second in range(61):
        clock.now = 1000.0 + second
        recomputation.step()
        assert len(computed) <= 50 * second + recompute.CHUNK
    assert len(computed) == 1500


def test_none_are_computed_at_a_rate_of_0_and_none_are_forgotten(root, work, computed):
    recompute.ask(root, paths(3))
    assert not work(0).step()
    assert not work(0).finish()
    assert computed == []
    work(1).step()
    assert computed == paths(3)


def test_a_later_request_takes_the_place_of_an_earlier_one_while_that_is_carried_out(root, work, computed):
    recompute.ask(root, paths(1000))
    recomputation = work(50)
    recomputation.finish()
    recompute.ask(root, paths(2, first=5000))
    while recomputation.finish():
        pass
    while recomputation.finish():
        pass
    assert computed == [*paths(500), *paths(2, first=5000)]


def test_what_is_no_manifest_is_named(root, work):
    objects.write(f"{root}/stale/x.jsonl", b"{nonsense\n")
    with pytest.raises(WrongRoot, match=r"x\.jsonl: is no manifest"):
        work(1).step()


def test_a_manifest_that_is_being_written_or_was_never_finished_is_left_alone(root, work, computed):
    recompute.ask(root, paths(1))
    (whole,) = recompute.asked(root)
    folder, _, name = whole.rpartition("/")
    unfinished = f"{folder}/.{name}.{'0123456789abcdef' * 2}"
    objects.write(unfinished, b'{"event": "created", "path": "s3://b/in/Ki')
    recomputation = work(1)
    while recomputation.finish():
        pass
    assert computed == paths(1)
    assert recompute.ask(root, paths(2)) == 1
    assert objects.exists(unfinished)


def test_a_name_that_is_nobodys_ends_no_reconciliation(root):
    objects.write(f"{root}/stale/x.jsonl", b"")
    assert recompute.ask(root, paths(1)) == 1
    assert objects.exists(f"{root}/stale/x.jsonl")


def test_an_image_that_was_erased_is_not_computed_again(tmp_path):
    root, computed = f"file://{tmp_path}/root", []
    register.request(root, ["file:///images/a.jpg"], requested_by="", keep_object=True)
    eraser = Eraser(None, IngestSettings(images="/images", root=root), lambda: None)
    stream = Batches(IngestSettings(images="/images", root=root), lambda named, _: computed.extend(named) or [], eraser)
    stream.recompute([manifests.ImageEvent("created", f"file:///images/{name}.jpg") for name in "ab"])
    assert [event.path for event in computed] == ["file:///images/b.jpg"]


def test_what_is_asked_for_below_one_prefix_leaves_what_was_asked_for_below_another(root, work, computed):
    old = f"{root}/stale/20260101T000000000000-000001.jsonl"  # as an earlier version named it
    objects.write(old, next(manifests.manifests([manifests.ImageEvent("created", "s3://b/in/old.jpg")])))
    below = {prefix: [f"s3://b/{prefix}/{number}.jpg" for number in range(3)] for prefix in ("in", "other")}
    for prefix in ("in", "other"):
        assert recompute.ask(root, below[prefix], f"s3://b/{prefix}") == 1
    assert recompute.ask(root, below["in"][:2], "s3://b/in") == 1
    recomputation = work(50)
    while recomputation.finish():
        pass
    assert sorted(computed) == [*below["in"][:2], *below["other"]]

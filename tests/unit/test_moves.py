"""What counts as moved, and what is brought together so that one commit moves its row."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fruitpipe.ingest import moves
from fruitpipe.pictures.variants import Current
from fruitpipe.root.manifests import ImageEvent
from fruitpipe.table.lookup import Known

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("gone", "new", "count"),
    [([], [], 0), ([5, 5, 7], [5, 5, 5, 8], 2), ([5, 5], [5], 1), ([None], [None], 0), ([0], [0], 1)],
)
def test_each_new_image_stands_for_one_that_is_gone_and_has_its_length(gone, new, count):
    assert moves.count(gone, new) == count


def test_what_came_and_what_went_lie_together_where_their_lengths_are_the_same():
    created = [ImageEvent("created", f"file:///b/{length}.jpg", length=length) for length in (3, 1, 2)]
    removed = [ImageEvent("removed", f"file:///a/{length}.jpg") for length in (2, 3, 1)]
    ordered = moves.side_by_side([*created, *removed], {event.path: int(event.path[-5]) for event in removed})
    assert [event.path[-5] for event in ordered] == list("112233")


def test_only_a_good_row_of_this_extractor_whose_image_is_said_to_be_gone_gives_its_features():
    rows = {
        "gone": Known("gone", "1", "sha of gone", "now", NOW),
        "stale": Known("stale", "1", "sha of stale", "older", NOW),
        "bad": Known("bad", "1", "sha of bad", "now", NOW, error="truncated"),
        "there": Known("there", "1", "sha of there", "now", NOW),
    }
    events = [ImageEvent("removed", path) for path in ("gone", "stale", "bad", "new")] + [ImageEvent("created", "there")]
    assert moves.features_to_copy(events, rows, Current("now")) == {"sha of gone": "now"}


def test_an_event_that_tells_a_length_is_put_by_it_and_one_without_any_comes_first():
    """The row may be of other bytes by now."""
    told = [ImageEvent("created", "b", length=3), ImageEvent("created", "a", length=1), ImageEvent("created", "none")]
    ordered = moves.side_by_side(told, {"b": 0, "a": 9, "unknown": 2, "none": None})
    assert [event.path for event in ordered] == ["none", "a", "b"]
    empty = [ImageEvent("created", "one byte", length=1), ImageEvent("created", "nobody knows")]
    assert [event.path for event in moves.side_by_side(empty, {})] == ["nobody knows", "one byte"]


def test_a_batch_keeps_its_order_unless_an_image_that_has_a_row_is_said_to_be_gone():
    rows = {"gone": Known("gone", "1", "sha", "now", NOW, length=1), "there": Known("there", "1", "sha", "now", NOW, length=2)}
    created = [ImageEvent("created", "new", length=3), ImageEvent("created", "there", length=2)]
    assert moves.together(created, rows) == created
    without_row = [*created, ImageEvent("removed", "never seen")]
    assert moves.together(without_row, rows) == without_row
    assert [event.path for event in moves.together([*created, ImageEvent("removed", "gone")], rows)] == ["gone", "there", "new"]

"""What counts as moved, and what is brought together so that one commit moves its row."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fruitpipe.ingest import moves
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
    assert moves.features_to_copy(events, rows, "now") == {"sha of gone"}

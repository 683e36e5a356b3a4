"""What becomes of an image that the stream looks at. Its values are stored in Delta's log and printed."""

from __future__ import annotations

import enum


class Outcome(enum.StrEnum):
    """The outcome of one image in one batch."""

    FEATURISED = "featurised"  # a row with features
    FAILED = "failed"  # a row with the reason why there are none
    UNCHANGED = "unchanged"  # the object has the etag of its row, or is withheld for the reason that its row has
    TOUCHED = "touched"  # another etag, and the bytes of its row
    MOVED = "moved"  # a new image with the bytes of one that is gone, whose features it takes
    KEPT = "kept"  # the store does not give the object, and the row keeps its features
    STALE = "stale"  # so too, but the features are of another extractor: the row says why they stay
    GONE = "gone"  # no object, or a side file of a system: no row

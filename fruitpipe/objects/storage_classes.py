"""S3's classes of storage: whether an object's bytes can be read at once."""

from __future__ import annotations

# Of all other classes they can be read. What Intelligent-Tiering has archived only a GET tells, or a report that has the tier.
ARCHIVED = {"GLACIER": True, "DEEP_ARCHIVE": True, "INTELLIGENT_TIERING": None}
ARCHIVED_TIERS = ("ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS")


def is_archived(storage_class: str | None, tier: str | None = None) -> bool | None:
    """Whether nobody can read an object before it is restored; None where nobody can tell. tier: of Intelligent-Tiering."""
    if storage_class == "INTELLIGENT_TIERING" and tier:
        return tier in ARCHIVED_TIERS
    return ARCHIVED.get(storage_class or "", False)

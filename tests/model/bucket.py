"""The model: a plain dictionary of what lies in the bucket, and the rules by which a table row follows from it.

It knows nothing of how the product works; what a picture's vector must be, an oracle says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.pictures import jpeg

# Two names that differ in their spelling alone, two that Spark itself would hide, one that is no image, two of one label.
NAMES = ["Kiwi/a b.jpg", "Kiwi/a%20b.jpg", "Label=x/pêche.PNG", "top.jpg", "Kiwi/_new.jpg", ".kept/0.jpg", "Kiwi/notes.txt"]
LABELS = ["Kiwi", "Label=x", "Pear"]
ANCHOR = "notes for the owner.txt"  # always there: a folder in which nothing at all lies is taken for a mount that went away
GOOD = [jpeg(seed, size=24) for seed in range(6)]
BAD = {b"": "empty", GOOD[0][:300]: "truncated", b"<html>gone</html>": "not-an-image"}
BODIES = [*GOOD, *BAD]
State = Literal["", "refused", "archived"]
REASONS = {"refused": "unreadable", "archived": "archived"}
Digest = Callable[[bytes], list[str]]  # of the vectors that a picture may have, that of the present extractor first


@dataclass
class Object:
    """What lies under a name. ever: all bytes that lay there since it had no object and no row."""

    body: bytes
    state: State = ""
    ever: set[bytes] = field(default_factory=set)
    was_good: bool = False  # its row had features when it was last looked at


@dataclass
class Bucket:
    """What lies there, by name. kept_out: what was erased and left in place. base: the prefix's URI."""

    base: str
    objects: dict[str, Object] = field(default_factory=dict)
    kept_out: set[str] = field(default_factory=set)

    def put(self, name: str, body: bytes) -> None:
        """An upload takes the place of what was there, and is nobody's secret."""
        before = self.objects.get(name)
        self.objects[name] = Object(body, "", (before.ever if before else set()) | {body}, before.was_good if before else False)

    def images(self) -> list[str]:
        """The names that count as images."""
        return sorted(name for name in self.objects if is_image(name))

    def uri(self, name: str) -> str:
        """The path of its row."""
        return f"{self.base}/{name}"

    def withheld(self) -> list[str]:
        """The images that give no bytes."""
        return [name for name in self.images() if self.objects[name].state]

    def differences(self, rows: Iterable[dict[str, Any]], digest: Digest) -> list[str]:
        """What is wrong with the table, in words: an image without its row, a row too many, or one that says something else."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault(row["path"], []).append(row)
        expected = [name for name in self.images() if name not in self.kept_out]
        wrong = [f"{path}: a row too many" for path in found.keys() - {*map(self.uri, expected)}]
        wrong += [f"{path}: {len(rows)} rows" for path, rows in found.items() if len(rows) > 1]
        for name in expected:
            if self.uri(name) not in found:
                wrong.append(f"{name}: no row")
            elif fault := fault_of(found[self.uri(name)][0], label_of(name), self.objects[name], digest):
                wrong.append(f"{name}: {fault}")
        return wrong

    def settled(self, rows: Iterable[dict[str, Any]]) -> None:
        """Notes which images have features now; whatever befalls them, they keep some."""
        good = {row["path"] for row in rows if row["error"] is None}
        for name, one in self.objects.items():
            one.was_good = self.uri(name) in good
            one.ever = one.ever if one.state else {one.body}


def is_image(name: str) -> bool:
    """Whether the product's default glob takes it."""
    return name.lower().endswith((".jpg", ".png"))


def label_of(name: str) -> str:
    """The folder that holds an image, below the prefix."""
    return name.rpartition("/")[0].rpartition("/")[2]


def fault_of(row: dict[str, Any], label: str, one: Object, digest: Digest) -> str:
    """What a row says that does not follow from the object; nothing where all does."""
    if row["label"] != label:
        return f"label {row['label']}"
    if not one.state:
        return _differs(row, one.body, digest, 1)
    if row["error"] == REASONS[one.state]:
        stays = one.ever == {one.body} or (one.state == "refused" and all(body in GOOD for body in one.ever))
        return "lost the features that it had" if one.was_good and stays else ""
    faults = [_differs(row, body, digest, None) for body in one.ever]
    return "" if not all(faults) else faults[0]


def _differs(row: dict[str, Any], body: bytes, digest: Digest, extractors: int | None) -> str:
    reason = None if body in GOOD else BAD.get(body, "not-an-image")
    expected = (len(body), hashlib.sha256(body).hexdigest(), reason)
    actual = (row["length"], row["sha256"], row["error"])
    if actual != expected:
        return f"{actual}, expected {expected}"
    if reason is None and row["features"] not in digest(body)[:extractors]:
        return "another vector"
    return "" if (row["features"] is None) == (reason is not None) else "features and a reason"

"""The rules in memory, with those that only a store in memory makes cheap: archives, mounts that go, writers that stand still."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition

from fruitpipe.erasure import register
from fruitpipe.errors import NoImages, PlatformFault
from tests.model.bucket import NAMES
from tests.model.history import BODY, FILES, SEVERAL, History, rule
from tests.model.memory import Memory


class Machine(History):
    """A folder, a bucket or one that keeps versions, and the product over it, in this process."""

    ground: Memory

    @initialize(
        kind=st.sampled_from(["folder", "s3", "versioned"]),
        bodies=st.lists(BODY, min_size=3, max_size=len(NAMES)),
    )
    def begin(self, kind, bodies):
        self.begin_on(Memory(kind), bodies)

    @precondition(lambda self: self.ground.store.kind != "folder")
    @rule(number=SEVERAL)
    def archive(self, number):
        """A lifecycle rule archives an object, or somebody has it restored."""
        if name := self._chosen(number):
            self._mark(name, "" if self.bucket.objects[name].state else "archived")

    @rule(files=FILES, from_listing=st.booleans())
    def suspend(self, files, from_listing):
        """A writer stands still before its first commit, while a second one takes over."""
        with self.ground.suspended(lambda: self._run("events", allow_removals=True)):
            self._run("prefix" if from_listing else "events", max_files_per_trigger=files)

    @precondition(lambda self: self.ground.store.kind == "folder" and not register.pending(self.ground.root))
    @rule(from_listing=st.booleans())
    def unmount(self, from_listing):
        """While the folder is away no row goes of which nobody has said that its image went."""
        told = {event.path for event in self.told if event.event == "removed"}
        before = {row["path"] for row in self.ground.rows()} - told
        self.ground.store.away = self.ground.images
        try:
            self._ingest("prefix" if from_listing else "events", allow_removals=True)
        except (NoImages, PlatformFault):
            self.counts["runs without the mount that were refused"] += 1
        finally:
            self.ground.store.away = None
        assert before <= {row["path"] for row in self.ground.rows()}, "rows went with the mount"

    @rule()
    def upgrade(self):
        """Another extractor: all rows are stale."""
        self.ground.upgrade()

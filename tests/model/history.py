"""What may happen to a bucket and its root, as rules; and what must hold whenever all is quiet.

The rules call the product's jobs. Where these run, a ground decides: `memory.Memory` is this process. After each quiet step the
table follows from the bucket, each version of the reduced features from the table as it was, and nothing is left of an image that
was erased.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition

from fruitpipe import objects
from fruitpipe.erasure import command, register
from fruitpipe.erasure.request_list import Named
from fruitpipe.erasure.requested_images import Criteria
from fruitpipe.errors import LeaseLost, MixedExtractors, NoImages, NotEnoughRows, NotFound, PlatformFault
from fruitpipe.jobs.ingest import ingest
from fruitpipe.jobs.reconcile import reconcile
from fruitpipe.jobs.refit import refit
from fruitpipe.refit import pointer, publication, rollback, version_model
from fruitpipe.root import manifests
from fruitpipe.settings import IngestSettings, ReconcileSettings, RefitSettings
from tests.model import erased
from tests.model.bucket import ANCHOR, BODIES, LABELS, NAMES, Bucket, is_image
from tests.model.store import Killed

SEVERAL = st.integers(0, 50)
BODY = st.integers(0, len(BODIES) - 1)
FILES = st.sampled_from([2, 100])  # of a batch
DEATHS = st.one_of(st.none(), st.integers(1, 40))  # at which write the process ends


def rule(**strategies: Any) -> Callable[[Any], Any]:
    """A rule of Hypothesis, each step of which is counted."""

    def counting(step: Any) -> Any:
        @functools.wraps(step)
        def counted(self: History, **given: Any) -> None:
            self.counts[f"steps: {step.__name__}"] += 1
            step(self, **given)

        return stateful.rule(**strategies)(counted)

    return counting


class History(RuleBasedStateMachine):
    """One bucket, one root. nobodys: vectors that were erased images' alone, then and since, by the SHA-256 of the bytes."""

    counts: ClassVar[Counter[str]] = Counter()
    ground: Any

    def begin_on(self, ground: Any, bodies: list[int]) -> None:
        """Some images lie there."""
        self.ground, self.bucket = ground, Bucket(ground.images)
        self.second = self.sequence = 0
        self.pending: list[manifests.ImageEvent] = []
        self.told: list[manifests.ImageEvent] = []
        self.removed: list[tuple[str, bytes, int]] = []
        self.erased: set[str] = set()
        self.nobodys: dict[str, bytes] = {}
        self.times: dict[str, int] = {}
        ground.put(self.bucket.uri(ANCHOR), b"", 0)
        for name, body in zip(NAMES, bodies, strict=False):
            self._put(name, BODIES[body])

    @rule(name=st.sampled_from(NAMES), body=BODY)
    def upload(self, name: str, body: int) -> None:
        self.second += 1
        self._put(name, BODIES[body])

    @rule(number=SEVERAL, body=st.one_of(st.none(), BODY), later=st.booleans())
    def overwrite(self, number: int, body: int | None, later: bool) -> None:
        """With the same bytes or others, in the same second or later."""
        if name := self._chosen(number):
            self.second += later
            self._put(name, self.bucket.objects[name].body if body is None else BODIES[body], None if later else self.times[name])

    @rule(number=SEVERAL)
    def remove(self, number: int) -> None:
        if name := self._chosen(number):
            self.removed.append((name, self._take(name), self.times[name]))

    @precondition(lambda self: self.removed)
    @rule()
    def put_back(self) -> None:
        """What was removed last, with its old time."""
        self._put(*self.removed.pop())

    @rule(label=st.sampled_from(LABELS), to=st.sampled_from(LABELS))
    def rename_label(self, label: str, to: str) -> None:
        for name in [one for one in self.bucket.objects if one.startswith(f"{label}/") and label != to]:
            if not self.bucket.objects[name].state:
                self._put(to + name.removeprefix(label), self._take(name), self.times[name])

    @precondition(lambda self: objects.children(self.ground.root))
    @rule(number=SEVERAL, keep_object=st.booleans())
    def erase(self, number: int, keep_object: bool) -> None:
        name = self._chosen(number)
        if name is None or not is_image(name):
            return
        self.nobodys |= erased.vector_alone(name, self.ground.rows(), self.bucket)
        with quietly():
            command.erase(self.ground.root, Criteria([Named(self.bucket.uri(name))], keep_object=keep_object), requested_by="me")
        if keep_object:
            self.bucket.kept_out.add(name)
        else:
            self.bucket.objects.pop(name)
            self.bucket.kept_out.discard(name)
            self.erased.add(name)

    @precondition(lambda self: self.pending)
    @rule(order=st.randoms(use_true_random=False), lost=st.integers(0, 2), twice=st.booleans())
    def event(self, order: random.Random, lost: int, twice: bool) -> None:
        """The events so far, shuffled, some of them lost, perhaps all of them once more later."""
        told = order.sample(self.pending, max(len(self.pending) - lost, 0)) * (1 + twice)
        order.shuffle(told)
        self.pending = self.pending if twice else []
        self._deliver(told)

    @rule(files=FILES, dies=DEATHS, removals=st.booleans())
    def list(self, files: int, dies: int | None, removals: bool) -> None:
        self._run("prefix", dies, max_files_per_trigger=files, allow_removals=removals)

    @rule(files=FILES, dies=DEATHS, clear=st.booleans())
    def read_events(self, files: int, dies: int | None, clear: bool) -> None:
        self._run("events", dies, max_files_per_trigger=files, **({"clear_hours": 0} if clear else {}))

    @rule(number=SEVERAL)
    def refuse(self, number: int) -> None:
        """The owner takes away the right to read an object, or gives it back."""
        if name := self._chosen(number):
            self._mark(name, "" if self.bucket.objects[name].state else "refused")

    @rule()
    def lose_the_checkpoint(self) -> None:
        objects.delete_all(f"{self.ground.root}/checkpoints")

    @rule(dies=DEATHS, keep=st.sampled_from([None, 2]), unless_current=st.booleans())
    def refit(self, dies: int | None, keep: int | None, unless_current: bool) -> None:
        held = pointer.find(self.ground.root)
        try:
            with quietly(), self.ground.dying(dies):
                refit(RefitSettings(root=self.ground.root, report=False, keep=keep, unless_current=unless_current))
            self.counts["versions"] += 1
        except (Killed, NotEnoughRows, MixedExtractors) as error:
            self.counts[f"refits that met {type(error).__name__}"] += 1
        except NotFound:
            if self.ground.rows():
                raise
        now = pointer.find(self.ground.root)
        assert not (held and held.held and now and now.version != held.version), "a refit switched while a rollback holds"

    @precondition(lambda self: pointer.find(self.ground.root))
    @rule(number=SEVERAL)
    def roll_back(self, number: int) -> None:
        versions = publication.versions(self.ground.root)
        wanted = versions[number % len(versions)]
        assert rollback.roll_back(self.ground.root, wanted).version == wanted

    @precondition(lambda self: pointer.find(self.ground.root))
    @rule()
    def release(self) -> None:
        rollback.release(self.ground.root)

    @precondition(lambda self: self.ground.rows())
    @rule()
    def compact(self) -> None:
        before = sorted(self.ground.rows(), key=lambda row: row["path"])
        self.ground.compact()
        assert sorted(self.ground.rows(), key=lambda row: row["path"]) == before

    @precondition(lambda self: self.ground.rows())
    @rule()
    def vacuum(self) -> None:
        self.ground.vacuum(datetime.now(UTC) + timedelta(hours=2))

    @rule()
    def quiet(self) -> None:
        """All is read, and looked for; then nothing is left to do."""
        self.counts["quiet steps"] += 1
        if not objects.children(self.ground.root) and not self.bucket.images():
            return
        try:
            self._come_to_rest()
        except PlatformFault:
            refused = self.bucket.withheld()
            assert refused, "a fault of the platform, and nothing is refused"
            for name in refused:
                self._mark(name, "")
            self._come_to_rest()
        self._check_table()
        self._check_versions()
        self._check_erased()

    def teardown(self) -> None:
        if not hasattr(self, "ground"):
            return
        try:
            self.quiet()
        finally:
            self.counts["histories"] += 1
            self.close()

    def close(self) -> None:
        """Gives the product its own doors back, whatever became of the history; may be called again."""
        if hasattr(self, "ground"):
            self.ground.close()

    def _come_to_rest(self) -> None:
        root = self.ground.root
        self._ingest("events")
        self._reconcile()
        self._ingest("events")
        if register.pending(root):  # while rows of two extractors are there, no version can be fitted in place of one
            self._ingest("events")
        assert not (left := [(one.status, one.remaining, one.verification) for one in register.pending(root)]), left
        told = len(list(objects.list_all(f"{root}/events")))
        self._reconcile()
        # What gives no bytes is looked at each time, as nobody tells when access is granted.
        again = bool(self.bucket.withheld())
        assert again or len(list(objects.list_all(f"{root}/events"))) == told, "it found something to do again"

    def _check_table(self) -> None:
        rows = self.ground.rows()
        assert not (wrong := self.bucket.differences(rows, self.ground.digest)), wrong
        self.bucket.settled(rows)

    def _check_versions(self) -> None:
        """Each published version is the table at its version, reduced."""
        root, found = self.ground.root, pointer.find(self.ground.root)
        assert found is None or found.version in found.versions, found
        for version in found.versions if found else ():
            model = version_model.load_model(root, version)
            rows, extractor = self.ground.rows_at(model.facts["features_version"]), model.facts["extractor"]
            good = [row for row in rows if row["error"] is None]
            expected = {row["path"]: row["features"] for row in good if row["extractor"] == extractor}
            assert model.facts["rows_left_out"] == len(good) - len(expected)
            self.counts["versions that left rows out"] += len(good) > len(expected)
            reduced = self._reduced(version)
            assert [row["path"] for row in reduced] == sorted(expected), f"{version}: other images than the table's"
            vectors = np.array([expected[row["path"]] for row in reduced], np.float32)
            found_there = np.array([row["pca_features"] for row in reduced])
            assert np.allclose(model.reduction.transform(vectors), found_there, atol=1e-4), f"{version}: other vectors"
            assert np.allclose(model.summary.moments.mean, vectors.astype(float).mean(axis=0), atol=1e-9), f"{version}: mean"
            self.counts["versions checked"] += 1

    def _reduced(self, version: str) -> list[dict[str, Any]]:
        stats = objects.list_all(publication.reduced_uri(self.ground.root, version))
        rows = [row for stat in stats for row in pq.read_table(pa.BufferReader(objects.read(stat.path))).to_pylist()]
        return sorted(rows, key=lambda row: row["path"])

    def _check_erased(self) -> None:
        """Nothing is left of an image that was erased and has not come back."""
        erased.check_names(self.ground.bodies(), map(self.bucket.uri, self.erased))
        erased.check_vectors(self.ground.bodies(), self.nobodys.values())

    def _run(self, source: Any, dies: int | None = None, **more: Any) -> None:
        """One run of the stream, which may be killed at any of its writes."""
        try:
            with self.ground.dying(dies):
                self._ingest(source, **more)
            self.counts["runs to the end"] += 1
        except (Killed, LeaseLost) as error:
            self.counts[f"runs that met {type(error).__name__}"] += 1
        except PlatformFault:
            assert self.bucket.withheld(), "a fault of the platform, and nothing is refused"
            self.counts["runs that met PlatformFault"] += 1
        except NoImages:
            assert not self.bucket.images()

    def _put(self, name: str, body: bytes, second: int | None = None) -> None:
        self.times[name] = self.second if second is None else second
        self.ground.put(self.bucket.uri(name), body, self.times[name])
        self.bucket.put(name, body)
        self.erased.discard(name)
        self.nobodys.pop(hashlib.sha256(body).hexdigest(), None)
        self._happened("created", name)

    def _take(self, name: str) -> bytes:
        self.ground.remove(self.bucket.uri(name))
        self._happened("removed", name)
        return self.bucket.objects.pop(name).body

    def _mark(self, name: str, state: Any) -> None:
        self.ground.store.mark(self.bucket.uri(name), state)
        self.bucket.objects[name].state = state
        if not state and is_image(name):  # S3 tells of a restored object, and an owner retries what was refused
            self._deliver([manifests.ImageEvent("created", self.bucket.uri(name), sequencer=f"{self.sequence:08X}F")])

    def _chosen(self, number: int) -> str | None:
        names = sorted(self.bucket.objects)
        return names[number % len(names)] if names else None

    def _happened(self, kind: Any, name: str) -> None:
        self.counts["changes"] += 1
        self.sequence += 1
        if is_image(name):
            self.pending.append(manifests.ImageEvent(kind, self.bucket.uri(name), sequencer=f"{self.sequence:08X}"))

    def _deliver(self, told: list[manifests.ImageEvent]) -> None:
        self.told += told
        for body in manifests.manifests(told, max_lines=3):
            now = datetime.now(UTC)
            objects.write(manifests.manifest_uri(self.ground.root, now, manifests.manifest_name("test", now, body)), body)

    def _ingest(self, source: Any, **more: Any) -> None:
        given = {"images": self.ground.images, "root": self.ground.root, "source": source, "once": True}
        with quietly():
            ingest(IngestSettings(**given | {"erasure_grace_hours": 0} | more))

    def _reconcile(self) -> None:
        with quietly(), contextlib.suppress(NoImages):
            reconcile(ReconcileSettings(images=self.ground.images, root=self.ground.root, allow_removals=True))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What a job says is not printed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield

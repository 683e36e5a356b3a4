"""Image references in, feature rows out, as Arrow batches: what every Python worker runs.

Each worker reads objects many at a time ahead of its model, so that inference never waits for the network. An image that
cannot be decoded becomes a row that says why, whatever its decoder raises; a fault of the platform is raised and stops the
batch. That many images fail alike, which may be this code's fault, is judged where their rows come together.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError, NotFound, WrongModel
from fruitpipe.extractor.arrow_schema import REFERENCES, record_batch
from fruitpipe.extractor.inference import ModelFile, Network, fingerprint, network_for
from fruitpipe.pictures import variants
from fruitpipe.pictures.decoding import BadImage, Picture, decode
from fruitpipe.pictures.naming import Naming
from fruitpipe.pictures.preprocessing import STANDARD, Preprocessing
from fruitpipe.runtime import image_count, workers
from fruitpipe.runtime.deadline import Deadline, deadline

READERS = 16  # objects read at the same time
READ_AHEAD = 128  # objects read or being read before the model needs them ...
UNKNOWN_BYTES = 4_000_000  # counted for an object that is not read yet and whose length is not announced
READ_AHEAD_BYTES = 64_000_000  # ... as long as they are no larger than this together, as far as is known
READ_TOGETHER = 8  # small objects that a reader takes at a time: to hand over each alone takes longer than to read it from a disk
ROWS_PER_BATCH = 256  # 1.3 MB of features
NOT_THE_IMAGES = (MemoryError, ImportError)  # the machine's, or the installation's, whatever image meets them
MESSAGE_CHARACTERS = 300
ARCHIVED = "in an archive, as the listing tells; restore it, then run `fruitpipe errors --root ROOT --reason archived --retry`"


class Broadcast(Protocol):
    """The part of Spark's broadcast variables that a worker needs."""

    @property
    def value(self) -> ModelFile: ...


@dataclass(frozen=True, slots=True)
class Reference:
    """An image to look at, and what the table knows of it."""

    path: str
    length: int | None = None
    known_etag: str | None = None
    known_sha256: str | None = None
    good_etag: str | None = None
    known_error: str | None = None
    is_stale: bool | None = None
    archived_etag: str | None = None


@dataclass(frozen=True)
class Featuriser:
    """Looks at references and turns what it finds into rows. Goes to the workers, the model by broadcast.

    An outcome is one of ``featurised`` (with features), ``failed`` (with a reason), ``unchanged`` (the object has the known
    etag, or is withheld for the known reason), ``touched`` (a new etag, but the known bytes), ``moved`` (bytes whose features
    the table has under another name), ``kept`` (the store does not give it now, and the features of its row stay), ``stale``
    (so too, but they are another extractor's, and the row is to say why) and ``gone``, as are side files of systems.

    count_file: the file in which each leaves its mark for the progress bar, if any. naming: the root's rule for labels.
    preprocessing: the model's. in_full: as `decode` has it. copyable: the SHA-256 of bytes whose features need not be computed,
    as a row has them that is to go, and that row's extractor. A picture whose decoding takes longer than `max_image_seconds`
    ends the process.
    """

    model: Broadcast
    fingerprint: str
    max_image_bytes: int
    max_image_seconds: float = 30
    count_file: str | None = field(default=None, kw_only=True)
    naming: Naming = field(default=Naming(), kw_only=True)
    preprocessing: Preprocessing = field(default=STANDARD, kw_only=True)
    in_full: bool = field(default=False, kw_only=True)
    copyable: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    @property
    def current(self) -> variants.Current:
        """What it computes features with."""
        return variants.Current.of(self.fingerprint, self.preprocessing, in_full=self.in_full)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Record batches with the schema REFERENCES → record batches with the schema OUTCOMES, one row each."""
        workers.keep_warm()
        network = self.load()
        with deadline(self.max_image_seconds) as limit:
            looks = self._looks(_references(batches))
            outcomes = (self._outcome(network, limit, reference, look) for reference, look in looks)
            seen = image_count.marked(outcomes, self.count_file) if self.count_file else outcomes
            while chunk := list(islice(seen, ROWS_PER_BATCH)):
                yield record_batch(chunk)

    def load(self) -> Network:
        """The network, ready to run. Raises WrongModel where this worker would compute other vectors than the driver."""
        model = self.model.value
        here = fingerprint(model)
        if here != self.fingerprint:
            raise WrongModel(
                f"this worker's model and decoders have the fingerprint {here}, the driver's {self.fingerprint}; "
                "install the same on every node"
            )
        return network_for(model)

    def _looks(self, references: Iterator[Reference]) -> Iterator[tuple[Reference, objects.Look]]:
        """Each reference and what was found there, in order, read ahead within the two bounds."""
        ahead: deque[tuple[list[Reference], Future[list[objects.Look]]]] = deque()
        with ThreadPoolExecutor(READERS, "fruitpipe-read") as readers:
            for together in _together(references):
                while ahead and (_ahead(ahead) >= READ_AHEAD or _bytes_ahead(ahead) >= READ_AHEAD_BYTES):
                    yield from _oldest(ahead)
                ahead.append((together, readers.submit(self._look_at, together)))
            while ahead:
                yield from _oldest(ahead)

    def _look_at(self, together: list[Reference]) -> list[objects.Look]:
        return [self._look(reference) for reference in together]

    def _look(self, reference: Reference) -> objects.Look:
        if self.naming.side_file(reference.path):
            return objects.Gone()
        if reference.archived_etag:
            return objects.Withheld(ARCHIVED, "archived")
        try:
            return objects.look(reference.path, reference.known_etag, self.max_image_bytes)
        except NotFound as error:  # its bucket is gone, which other images need not be in
            return objects.Unreadable(str(error).removeprefix(f"{reference.path}: ")[:MESSAGE_CHARACTERS])
        except (FruitpipeError, *NOT_THE_IMAGES):
            raise
        except Exception as error:  # noqa: BLE001 - of one object; where it is that of all, the judge of the chunk says so
            return objects.Unreadable(f"{type(error).__name__}: {error}"[:MESSAGE_CHARACTERS])

    def _outcome(self, network: Network, limit: Deadline, reference: Reference, look: objects.Look) -> dict[str, Any]:
        row: dict[str, Any] = {"path": reference.path, "label": self.naming.label(reference.path)}
        row |= {"extractor": self.fingerprint, "ingested_at": datetime.now(UTC)}
        match look:
            case objects.Found(stat, body):
                return row | seen(stat) | self._found(network, limit, reference, body)
            case objects.TooLarge(stat):
                return row | seen(stat) | _failed("too-large", f"{stat.length} bytes, at most {self.max_image_bytes} are read")
            case objects.Unreadable():
                return row | _withheld(look, reference)
            case objects.Unchanged():
                return row | {"outcome": "unchanged"}
            case objects.Gone():
                return row | {"outcome": "gone"}

    def _found(self, network: Network, limit: Deadline, reference: Reference, body: bytes) -> dict[str, Any]:
        digest = {"sha256": hashlib.sha256(body).hexdigest()}
        if digest["sha256"] == reference.known_sha256:
            return digest | {"outcome": "touched"}
        if extractor_there := self.copyable.get(digest["sha256"]):
            return digest | {"extractor": extractor_there, "outcome": "moved"}
        with limit.of(reference.path):
            picture = self._decoded(body)
        if not isinstance(picture, Picture):
            return digest | picture
        features = network(picture.pixels)
        size = {"width": picture.width, "height": picture.height}
        made_by = {"extractor": variants.extractor(self.fingerprint, picture.variant)}
        return digest | size | made_by | {"features": features, "outcome": "featurised"}

    def _decoded(self, body: bytes) -> Picture | dict[str, Any]:
        return decoded(body, self.preprocessing, in_full=self.in_full)


def decoded(body: bytes, preprocessing: Preprocessing = STANDARD, *, in_full: bool = False) -> Picture | dict[str, Any]:
    """The picture, or the columns that say why there is none."""
    try:
        return decode(body, preprocessing, in_full=in_full)
    except BadImage as bad:
        return _failed(bad.reason, bad.message)
    except NOT_THE_IMAGES:
        raise
    except Exception as error:  # noqa: BLE001 - whatever else one image raises is its own, and no reason to stop for all others
        return _failed("decoder-error", f"{type(error).__name__}: {error}"[:MESSAGE_CHARACTERS])


def seen(stat: objects.Stat) -> dict[str, Any]:
    """The columns that an object's stat fills."""
    return {"modification_time": stat.modification_time, "length": stat.length, "etag": stat.etag}


def _withheld(look: objects.Unreadable, reference: Reference) -> dict[str, Any]:
    """A row without features, unless that would take the place of one that has some of the object as it is, or says the same."""
    reason, stat = (look.reason, look.stat) if isinstance(look, objects.Withheld) else ("unreadable", None)
    listed = {"etag": reference.archived_etag, "length": reference.length} if reference.archived_etag else {}
    told: dict[str, Any] = seen(stat) if stat else listed
    good, etag = reference.good_etag, told.get("etag")
    is_same = good is not None and (etag is None or _content(good) == _content(etag))
    if is_same:
        stays = {"outcome": "stale" if reference.is_stale else "kept"}
    else:
        stays = {"outcome": "unchanged"} if etag is None and reason == reference.known_error else {}
    return told | _failed(reason, look.message) | stays


def _content(etag: str) -> str:
    """The etag without the version, which no listing tells."""
    return etag.partition("@")[0]


def _failed(reason: str, message: str) -> dict[str, Any]:
    return {"error": reason, "error_message": message, "outcome": "failed"}


def _references(batches: Iterable[pa.RecordBatch]) -> Iterator[Reference]:
    for batch in batches:
        yield from (Reference(*row) for row in zip(*(batch.column(name).to_pylist() for name in REFERENCES.names), strict=True))


def _together(references: Iterable[Reference]) -> Iterator[list[Reference]]:
    """What one reader looks at, one after the other: the first ones alone, as the model waits, and large ones."""
    together: list[Reference] = []
    for number, reference in enumerate(references):
        together.append(reference)
        large = sum(map(_announced, together)) * READERS >= READ_AHEAD_BYTES
        if number < READERS or large or len(together) == READ_TOGETHER:
            yield together
            together = []
    if together:
        yield together


def _oldest(ahead: deque[tuple[list[Reference], Future[list[objects.Look]]]]) -> Iterator[tuple[Reference, objects.Look]]:
    together, future = ahead.popleft()
    return zip(together, future.result(), strict=True)


def _ahead(ahead: deque[tuple[list[Reference], Future[list[objects.Look]]]]) -> int:
    return sum(len(together) for together, _ in ahead)


def _bytes_ahead(ahead: deque[tuple[list[Reference], Future[list[objects.Look]]]]) -> int:
    return sum(_bytes_of(together, future) for together, future in ahead)


def _bytes_of(together: list[Reference], future: Future[list[objects.Look]]) -> int:
    """What objects take, once they are read; before, what was announced."""
    if not future.done():
        return sum(map(_announced, together))
    if future.exception():
        return 0
    return sum(len(look.body) for look in future.result() if isinstance(look, objects.Found))


def _announced(reference: Reference) -> int:
    return reference.length or UNKNOWN_BYTES

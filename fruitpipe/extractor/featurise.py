"""Image references in, feature rows out, as Arrow batches: what every Python worker runs.

An image that cannot be decoded becomes a row that says why, whatever its decoder raises; a fault of the platform is raised and
stops the batch. That many images fail alike, which may be this code's fault, is judged where their rows come together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa

from fruitpipe import objects
from fruitpipe.errors import FruitpipeError, NotFound, WrongModel
from fruitpipe.extractor import read_ahead
from fruitpipe.extractor.arrow_schema import Reference, record_batch, references
from fruitpipe.extractor.inference import ModelFile, Network, fingerprint, network_for
from fruitpipe.outcome import Outcome
from fruitpipe.pictures import variants
from fruitpipe.pictures.bad_image import MESSAGE_CHARACTERS, BadImage
from fruitpipe.pictures.decoding import NOT_THE_IMAGES, Picture, picture_in
from fruitpipe.pictures.naming import Naming
from fruitpipe.pictures.preprocessing import STANDARD, Preprocessing
from fruitpipe.runtime import image_count, workers
from fruitpipe.runtime.deadline import Deadline, deadline

ROWS_PER_BATCH = 256  # 1.3 MB of features
ARCHIVED = "in an archive, as the listing tells; restore it, then run `fruitpipe errors --root ROOT --reason archived --retry`"


class Broadcast(Protocol):
    """The part of Spark's broadcast variables that a worker needs."""

    @property
    def value(self) -> ModelFile: ...


@dataclass(frozen=True)
class Featuriser:
    """Looks at references and turns what it finds into rows. Goes to the workers, the model by broadcast.

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
            looks = read_ahead.looks(references(batches), self._look)
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
                return row | {"outcome": Outcome.UNCHANGED}
            case objects.Gone():
                return row | {"outcome": Outcome.GONE}

    def _found(self, network: Network, limit: Deadline, reference: Reference, body: bytes) -> dict[str, Any]:
        digest = {"sha256": hashlib.sha256(body).hexdigest()}
        if digest["sha256"] == reference.known_sha256:
            return digest | {"outcome": Outcome.TOUCHED}
        if extractor_there := self.copyable.get(digest["sha256"]):
            return digest | {"extractor": extractor_there, "outcome": Outcome.MOVED}
        with limit.of(reference.path):
            picture = self._decoded(body)
        if isinstance(picture, BadImage):
            return digest | _failed(picture.reason, picture.message)
        features = network(picture.pixels)
        size = {"width": picture.width, "height": picture.height}
        made_by = {"extractor": variants.extractor(self.fingerprint, picture.variant)}
        return digest | size | made_by | {"features": features, "outcome": Outcome.FEATURISED}

    def _decoded(self, body: bytes) -> Picture | BadImage:
        return picture_in(body, self.preprocessing, in_full=self.in_full)


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
        stays = {"outcome": Outcome.STALE if reference.is_stale else Outcome.KEPT}
    else:
        stays = {"outcome": Outcome.UNCHANGED} if etag is None and reason == reference.known_error else {}
    return told | _failed(reason, look.message) | stays


def _content(etag: str) -> str:
    """The etag without the version, which no listing tells."""
    return etag.partition("@")[0]


def _failed(reason: str, message: str) -> dict[str, Any]:
    return {"error": reason, "error_message": message, "outcome": Outcome.FAILED}

"""`fruitpipe erase`: records the request, removes the objects, and leaves the rest to the stream, the only writer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from fruitpipe import objects
from fruitpipe.erasure import register, requested_images
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.certificate import summary
from fruitpipe.erasure.execution import erase_objects
from fruitpipe.erasure.register import Erasure
from fruitpipe.errors import InvalidResult, NotFound, WrongUsage
from fruitpipe.output import say
from fruitpipe.root import layout, manifests

POLL_SECONDS = 0.5


def erase(  # noqa: PLR0913 - the command's flags
    root: str, uris: Sequence[str], *, prefix: str | None, label: str | None, requested_by: str, keep_object: bool
) -> list[str]:
    """Requests that images go, and removes their objects; returns the ids of the requests that cover them.

    The request is recorded under the root before anything is removed, so that a command that is killed has lost nothing.
    """
    root = objects.canonical(root)
    layout.check(root)
    if not objects.children(root):
        raise NotFound(f"{root}: there is nothing there; check --root")
    chosen = requested_images.select(root, uris, prefix, label, keep_object=keep_object)
    if Traces.of(chosen.paths).named_in(requested_by.encode()):
        raise WrongUsage("--requested-by names an image that is to go, and would keep its name; say it without")
    for name, count in chosen.done.items():
        say(f"{count} images: requested before; {_uri(root, name)} says what became of it")
        earlier = register.find(root, name)
        if earlier.status != "done":
            _go_on(root, earlier)
    if not chosen.paths:
        return list(chosen.done)
    record = register.request(root, chosen.paths, requested_by=requested_by, keep_object=keep_object, asked_as=chosen.asked_as)
    say(f"{record.id}: {len(chosen.paths)} images requested to be erased")
    if not keep_object:
        _remove_objects(root, record, chosen.paths)
    _tell_the_stream(root, chosen.paths)  # last: it may lack the right to remove objects itself
    say(f"{record.id}: the stream does the rest, or the next fruitpipe ingest --once; proof: {_uri(root, record.id)}")
    return [*chosen.done, record.id]


def _go_on(root: str, earlier: Erasure) -> None:
    """Does what a command that was killed, or refused, did not come to."""
    paths = register.names(root, earlier)
    if not earlier.keep_object and register.removed_objects(root, earlier) is None:
        _remove_objects(root, earlier, paths)
    _tell_the_stream(root, paths)


def wait(root: str, ids: Sequence[str]) -> None:
    """Returns when every request is proved. Raises InvalidResult where something could not be removed."""
    root = objects.canonical(root)
    for name in ids:
        while (record := register.find(root, name)).status in ("requested", "waiting"):
            time.sleep(POLL_SECONDS)
        if record.status == "incomplete":
            raise InvalidResult(f"{summary(record)} {_uri(root, name)}")
        say(f"{name}: {summary(record)}; proof: {_uri(root, name)}")


def _remove_objects(root: str, record: Erasure, paths: Sequence[str]) -> None:
    removed, refused = erase_objects(paths)
    say(f"{record.id}: {removed} objects and versions removed" + (f", {len(refused)} refused" if refused else ""))
    if not refused:
        register.note_removed(root, record, removed)


def _tell_the_stream(root: str, paths: Sequence[str]) -> None:
    """As lines of manifests, which a running stream reads at its next trigger."""
    now = datetime.now(UTC)
    for body in manifests.manifests(manifests.ImageEvent("erase", path, event_time=now) for path in paths):
        objects.write(manifests.manifest_uri(root, now, manifests.manifest_name("erase", now, body)), body)


def _uri(root: str, name: str) -> str:
    return objects.join(layout.folder(root, "erasures"), f"{name}.json")

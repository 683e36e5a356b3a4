"""`fruitpipe erase`: records a request and removes the objects. The stream, the table's only writer, does the rest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from fruitpipe import objects
from fruitpipe.erasure import elsewhere, image_objects, notes, register, requested_images
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.certificate import summary
from fruitpipe.erasure.record import Erasure
from fruitpipe.erasure.requested_images import Criteria, Selection
from fruitpipe.errors import InvalidResult, NotFound, WrongUsage
from fruitpipe.output import say
from fruitpipe.pictures import image_filter
from fruitpipe.root import layout, manifests

POLL_SECONDS = 0.5


def erase(
    root: str,
    criteria: Criteria,
    *,
    requested_by: str = "",
    with_same_bytes: Callable[[Sequence[str]], bool] = lambda _: False,
    dry_run: bool = False,
) -> list[str]:
    """Records a request to erase images and removes their objects; returns the ids of the requests that cover them.

    The request is recorded before anything is removed, so a command that is killed loses nothing. with_same_bytes: gets the paths
    of other images with the same bytes and says whether they are erased too. dry_run: only says what would be erased. Raises
    NotFound, WrongUsage.
    """
    root = _checked(root)
    chosen = requested_images.select(root, criteria)
    _say_without_row(chosen)
    if dry_run:
        _say_dry_run(chosen)
        return []
    with_same = chosen.same_bytes and with_same_bytes(chosen.same_bytes)
    paths = [*chosen.paths, *(chosen.same_bytes if with_same else ())]
    if Traces.of(paths).named_in(requested_by.encode()):
        raise WrongUsage("--requested-by names an image that is to go, and would keep its name; say it without")
    _resume(root, chosen.done)
    if not paths:
        return list(chosen.done)
    record = register.request(root, paths, requested_by=requested_by, keep_object=criteria.keep_object, asked_as=chosen.asked_as)
    _begin(root, record, paths)
    return [*chosen.done, record.id]


def _checked(root: str) -> str:
    """The root's canonical URI. Raises NotFound where nothing is, WrongUsage."""
    root = objects.canonical(root)
    layout.check(root)
    if not objects.children(root):
        raise NotFound(f"{root}: there is nothing there; check --root")
    return root


def _begin(root: str, record: Erasure, paths: Sequence[str]) -> None:
    say(f"{record.id}: {len(paths)} images requested to be erased")
    _hand_over(root, record, paths, removing=not record.keep_object)
    once = f"fruitpipe ingest --images URI --root {root} --once"
    say(f"{record.id}: the stream does the rest, or the next {once}; certificate: {_uri(root, record.id)}")


def _say_without_row(chosen: Selection) -> None:
    """Other files beside the pictures go as well, as a note may say as much of a person: who asks is to know how many."""
    if chosen.asked_as and chosen.without_row:
        kinds = Counter(image_filter.ending(objects.name(path)) for path in chosen.without_row)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        say(f"{len(chosen.without_row)} of {len(chosen.paths)} have no row, and are other files or new images: {told}")


def _say_dry_run(chosen: Selection) -> None:
    same = f"{len(chosen.same_bytes)} more have the same bytes"
    say(f"{len(chosen.paths)} images would be erased, {same}; --dry-run: nothing was done")


def _resume(root: str, covered: dict[str, int]) -> None:
    """Says which earlier requests cover images, and does what a command that was killed or refused left undone."""
    for name, count in covered.items():
        say(f"{count} images: requested before; {_uri(root, name)} says what became of it")
        earlier = register.find(root, name)
        if earlier.status == "done":
            continue
        tried = notes.objects_of(root, name)
        removing = not earlier.keep_object and (tried is None or bool(tried.left))
        _hand_over(root, earlier, notes.names(root, name), removing=removing)


def wait(root: str, ids: Sequence[str]) -> None:
    """Waits until every request has its certificate. Raises InvalidResult where something could not be removed."""
    root = objects.canonical(root)
    for name in ids:
        while (record := register.find(root, name)).status in ("requested", "waiting", "searching"):
            time.sleep(POLL_SECONDS)
        if record.status == "incomplete":
            raise InvalidResult(f"{summary(record)} {_uri(root, name)}")
        say(f"{name}: {summary(record)}; certificate: {_uri(root, name)}")
        say(*(f"{name}: to do: {one}" for one in elsewhere.to_do(record.elsewhere)))


def _hand_over(root: str, record: Erasure, paths: Sequence[str], *, removing: bool) -> None:
    """Removes the objects, as the stream may lack the right to, and tells it of the request, whatever became of them."""
    try:
        if removing:
            _remove_objects(root, record)
    finally:
        _tell_the_stream(root, paths, keep_object=record.keep_object)


def _remove_objects(root: str, record: Erasure) -> None:
    done = image_objects.remove(root, record.id)
    say(f"{record.id}: {done.removed} objects and versions removed" + (f", {len(done.left)} refused" if done.left else ""))
    for linked in done.linked:
        say(f"{record.id}: the same bytes stay at {linked}")


def _tell_the_stream(root: str, paths: Sequence[str], *, keep_object: bool) -> None:
    """Writes manifests, which a running stream reads at its next trigger."""
    now = datetime.now(UTC)
    events = (manifests.ImageEvent("erase", path, event_time=now, keep_object=keep_object) for path in paths)
    for body in manifests.manifests(events):
        objects.write(manifests.manifest_uri(root, now, manifests.manifest_name("erase", now, body)), body)


def _uri(root: str, name: str) -> str:
    return objects.join(layout.folder(root, "erasures"), f"{name}.json")

"""The places under the root that may hold something of an image, and the rule by which an erasure empties each.

Files that a reader may have open stay until the end of the grace period; others are rewritten or removed at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path

from fruitpipe import objects
from fruitpipe.erasure import lz4_blocks, search
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.errors import AccessDenied
from fruitpipe.pictures import naming
from fruitpipe.root import layout
from fruitpipe.runtime import cache, local_folders

RULES = {
    "features": "rows deleted; the files that held them, of rows and of changes, removed after the grace period; log cut then",
    "reduced": "a version that holds them is replaced at once and removed after the grace period",
    "models": "a model fitted with them is replaced at once and removed after the grace period",
    "reports": "removed, all of them: they show pictures; fruitpipe report --root ROOT makes them again",
    "events": "lines that name them removed",
    "stale": "lines that name them removed",
    "rejected": "lines that name them removed",
    "checkpoints": "entries that name them removed from the stream's lists of files",
    "triggers": "files that name them removed",
    layout.NAMING: "an image prefix that is one of them removed",
    "erasures": "the request's own list of names removed with the certificate; who asked for another is, where that names them",
}
BY_LINES = ("events", "stale", "rejected", "checkpoints")
BY_FILES = ("reports", "triggers")

Removed = dict[str, Counter[str]]  # by the id of each request: how many lines and files were removed from each place


def empty(root: str, sought: Mapping[str, Traces]) -> Removed:
    """Applies the rules that need not wait for the grace period, for all requests in one pass. sought: by request id."""
    removed = empty_files(root, (uri for place in (*BY_LINES, *BY_FILES) for uri in files(root, place)), sought)
    for name, traces in sought.items():
        removed[name][layout.NAMING] = naming.forget(root, traces.paths)
    return removed


def empty_files(root: str, uris: Iterable[str], sought: Mapping[str, Traces]) -> Removed:
    """Applies the same rules to some files. Files in places with another rule are left as they are."""
    removed: Removed = {name: Counter() for name in sought}
    every = Traces.all_of(sought.values())
    ruled = (uri for uri in uris if search.place_of(root, uri) in (*BY_LINES, *BY_FILES))
    for uri, body in search.bodies(ruled):
        place = search.place_of(root, uri)
        if place in BY_LINES:
            for line in _take_lines(uri, body, every):
                for name in (name for name, traces in sought.items() if search.is_of(line, traces)):
                    removed[name][place] += 1
        elif search.may_hold(uri, body, every):
            for name in [name for name, traces in sought.items() if search.may_hold(uri, body, traces)]:
                removed[name][place] += 1
            objects.erase(uri)
    return removed


def files(root: str, place: str) -> list[str]:
    """The URIs of the files of a place."""
    return [stat.path for stat in objects.list_all(objects.join(root, place))]


def empty_lines(uris: Iterable[str], traces: Traces) -> None:
    """Removes the lines that name an image from files, in all versions, as no step follows that would."""
    for uri, body in search.bodies(uris):
        if _take_lines(uri, body, traces):
            objects.purge(uri)


def empty_reports(root: str) -> int:
    """Removes every report, as its bytes do not tell which images its pictures show; returns how many files."""
    reports = [stat.path for stat in objects.list_all(layout.folder(root, "reports"))]
    return sum(objects.erase(uri) for uri in reports)


def lines_apart(body: bytes, traces: Traces) -> tuple[bytes, list[bytes]]:
    """Splits a text into the lines that name none of the images, joined byte for byte, and the lines that do."""
    if not traces.named_in(body):
        return body, []
    lines = [(line, search.is_of(line, traces)) for line in body.splitlines(keepends=True)]
    return b"".join(line for line, is_named in lines if not is_named), [line for line, is_named in lines if is_named]


def _take_lines(uri: str, body: bytes, traces: Traces) -> list[bytes]:
    """Removes the lines that name an image, and the file where no other line is left; returns those lines."""
    kept, taken = lines_apart(body, traces)
    if taken and kept:
        rewrite(uri, kept)
    elif taken:
        objects.erase(uri)
    return taken


def rewrite(uri: str, body: bytes) -> None:
    """Replaces a file in one step. The checksum file that Hadoop may keep beside it is removed first."""
    if not objects.is_s3(uri):
        folder, _, name = uri.rpartition("/")
        objects.delete(f"{folder}/.{name}.crc")
    objects.write(uri, body)


def on_this_machine(traces: Traces) -> list[str]:
    """URIs of Spark's logs and working files on this machine, outside the root, that name one of the images.

    Files that cannot be read or unpacked are included, as they may name one. None of them delays a certificate.
    """
    folders = (local_folders.folder().glob(f"*/{name}") for name in (local_folders.JAVA, local_folders.WORKERS))
    in_text = [cache.folder() / "logs", *sorted(chain.from_iterable(folders))]
    found = [uri for folder in in_text for uri in _naming(folder, traces.named_in)]
    # Spark writes names there in the plain spelling, beside megabytes of models: all spellings would take minutes.
    return list(dict.fromkeys([*found, *_naming(local_folders.folder(), lambda body: _stands_in_blocks(body, traces))]))


def _stands_in_blocks(body: bytes, traces: Traces) -> bool:
    """Whether a working file of Spark, or one stream in several, names one of the images; a block that cannot be unpacked may."""
    if lz4_blocks.MAGIC not in body:
        return traces.stands_in(body)
    unpacked, is_whole = lz4_blocks.unpacked(body)
    return not is_whole or traces.stands_in(unpacked) or traces.stands_in(body)


def _naming(folder: Path, is_named: Callable[[bytes], bool]) -> list[str]:
    uri, denied = objects.canonical(str(folder)), list[str]()
    try:
        files = [stat.path for stat in objects.list_all(uri, denied.append)]
    except AccessDenied:
        return [uri]
    named = [file for stream in lz4_blocks.streams(files) if _is_named(stream, is_named) for file in stream]
    return denied + named


def _is_named(stream: list[str], is_named: Callable[[bytes], bool]) -> bool:
    """Whether the files of a stream, or one of them alone, name one of the images; one that cannot be read may."""
    looks = [objects.look(file) for file in stream]
    bodies = [look.body for look in looks if isinstance(look, objects.Found)]
    if any(isinstance(look, objects.Unreadable) for look in looks):
        return True
    # Where one was removed meanwhile, the others do not follow each other.
    return any(is_named(body) for body in ([b"".join(bodies)] if len(bodies) == len(looks) else bodies))

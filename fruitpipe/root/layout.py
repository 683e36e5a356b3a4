"""The layout of a root: the URIs of its folders and files, and the check that a root is fruitpipe's."""

from __future__ import annotations

from collections.abc import Iterator

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, WrongRoot, WrongUsage

FOLDERS = ("features", "events", "stale", "rejected", "checkpoints", "models", "reduced", "reports", "triggers", "erasures")

WRITER = "writer.json"
CLEARED = "cleared.json"  # when upkeep last removed old files
NAMING = "labels.json"  # which folder of a path is the label, and the image prefixes
EXAMPLES = 3


def folder(root: str, name: str) -> str:
    """The URI of one of FOLDERS under the root."""
    assert name in FOLDERS, name
    return objects.join(root, name)


def place(root: str, name: str) -> str:
    """The URI of a single object directly under the root."""
    return objects.join(root, name)


def is_within(uri: str, folder: str) -> bool:
    """Whether a URI lies in a folder, or is the folder."""
    return f"{uri}/".startswith(f"{folder}/")


def lies_in(uri: str, root: str) -> bool:
    """Whether a place that a user names lies in the root, perhaps through a link."""
    place, top = (objects.real(objects.canonical(one)) for one in (uri, root))
    return is_within(place, top)


def check_users(uri: str, root: str) -> None:
    """Raises WrongUsage for a user's own file in the root that is not below its reports.

    No erasure would know what it names, and beside the root's own files each job would refuse the root.
    """
    reports = folder(objects.real(objects.canonical(root)), "reports")
    if lies_in(uri, root) and not lies_in(uri, reports):
        raise WrongUsage(f"{uri} lies in the root, whose files are the pipeline's; give a place outside of it or under {reports}")


def check(root: str) -> None:
    """Raises WrongRoot where something lies under the root that fruitpipe did not put there, or around a new one."""
    there = objects.children(root)
    ours = (*FOLDERS, WRITER, CLEARED, NAMING)
    foreign = [child for child in there if child.rstrip("/") not in ours and not child.startswith(".")]
    if foreign:
        named = ", ".join(foreign[:EXAMPLES]) + (f" and {len(foreign) - EXAMPLES} more" if len(foreign) > EXAMPLES else "")
        raise WrongRoot(f"{root} holds {named}, which fruitpipe did not write; give an empty --root or one of its own")
    if not there:
        _check_around(root)


def _check_around(root: str) -> None:
    """Raises WrongRoot for a root inside another Delta table, whose VACUUM removes foreign files in its folder after a week."""
    for one in above(root):
        try:
            inside = objects.exists(objects.join(one, "_delta_log"))
        except AccessDenied:  # the right to list the root alone is enough
            return
        if inside:
            raise WrongRoot(f"{root} lies in the Delta table {one}, whose VACUUM would remove it; give a --root outside of it")


def above(uri: str) -> Iterator[str]:
    """The folders that a URI lies in, the nearest first."""
    scheme, _, path = uri.partition("://")
    while path := path.rpartition("/")[0]:
        yield f"{scheme}://{path}"

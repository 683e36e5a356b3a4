"""Where something that is made of a root may be put: neither in a root nor among its images."""

from __future__ import annotations

import hashlib

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, NotFound, WrongUsage
from fruitpipe.pictures import naming
from fruitpipe.root import layout

DIGITS = 16  # of a root's hash
EXAMPLES = 3
OF_A_ROOT = (("writer.json",), ("reduced", "latest.json"))


def check_outside(root: str, to: str) -> None:
    """Raises WrongUsage for a place in a root, or among the images of this one."""
    real = objects.real(to)
    if layout.is_within(real, objects.real(root)):
        raise WrongUsage(f"{to} lies in the root {root}, which holds what is not to be served; give another place")
    if any(layout.is_within(real, objects.real(images)) for images in naming.of(root).prefixes):
        raise WrongUsage(f"{to} lies among the images of {root}, where its pictures would count as some; give another place")
    if around := next((one for one in (real, *layout.above(real)) if _is_root(one)), None):
        raise WrongUsage(f"{to} lies in the root {around}, which holds what is not to be served; give another place")


def root_digits(root: str) -> str:
    """What anybody may read of the root that something was made of: a hash of its URI."""
    return hashlib.sha256(objects.canonical(root).encode()).hexdigest()[:DIGITS]


def examples(names: list[str]) -> str:
    """``a, b, c and 2 more``."""
    return ", ".join(names[:EXAMPLES]) + (f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else "")


def _is_root(uri: str) -> bool:
    try:
        return any(objects.exists(objects.join(uri, *names)) for names in OF_A_ROOT)
    except (AccessDenied, NotFound):  # what may not be looked at is nobody's whom we know
        return False

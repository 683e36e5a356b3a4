"""What a root in a folder asks of its drive, tried out before anything is written there.

Drives of Windows under WSL, network shares and mounted buckets obey only half: some refuse to lock, to replace or to change a
mode, and some give one lock to two.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from fruitpipe.errors import PlatformFault
from fruitpipe.objects.local_files import explained, path_of, status_at

SEE = "give a --root on a drive that does, or in a bucket (docs/troubleshooting.md)"


def check_drive(uri: str) -> None:
    """Raises PlatformFault, which says what the drive of a folder does not do; the folder is made if it is not there.

    Leaves nothing behind; a folder that was made for a drive that is refused goes again.
    """
    folder = path_of(uri)
    with explained(uri):
        made = [one for one in (folder, *folder.parents) if not status_at(one)]
        folder.mkdir(parents=True, exist_ok=True)
        failures = list(_failures(folder))
        for one in made if failures else ():
            one.rmdir()
    if failures:
        raise PlatformFault(f"{uri}: this drive does not {', nor '.join(failures)}; {SEE}")


def takes_links(uri: str) -> bool:
    """Whether a file in this folder, which is there, may have a second name."""
    file, second = (path_of(uri) / f".fruitpipe-probe-{uuid.uuid4().hex}{end}" for end in ("", ".link"))
    with explained(uri):
        file.touch()
    try:
        second.hardlink_to(file)
    except OSError:
        return False
    finally:
        file.unlink()
        second.unlink(missing_ok=True)
    return True


def _failures(folder: Path) -> Iterator[str]:
    """What does not work, each in words that follow "does not"."""
    file, other = (folder / f".fruitpipe-probe-{uuid.uuid4().hex}{end}" for end in ("", ".new"))
    tries: dict[str, Callable[[], None]] = {
        "lock files": lambda: _lock(file),
        "replace a file by another": lambda: _replace(other, file),
        "let a file's mode be changed": lambda: file.chmod(0o644),
    }
    try:
        file.write_bytes(b"old")  # a folder that is not ours to write to is not the drive's fault
        for what, work in tries.items():
            try:
                work()
            except OSError as error:
                yield f"{what} ({error.strerror})"
    finally:
        file.unlink(missing_ok=True)
        other.unlink(missing_ok=True)


def _lock(path: Path) -> None:
    """Raises OSError where there is no lock, or a second holder gets it too."""
    with path.open("rb+") as first, path.open("rb+") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        raise OSError(0, "two have one lock at a time")


def _replace(new: Path, old: Path) -> None:
    new.write_bytes(b"new")
    new.replace(old)
    if old.read_bytes() != b"new":
        raise OSError(0, "the old bytes are read")

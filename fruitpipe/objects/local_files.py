"""Shared functions for local files: paths, stats, and the translation of the operating system's errors."""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fruitpipe.errors import AccessDenied, NotFound, PlatformFault
from fruitpipe.objects.stat import Stat

NO_FILE = {errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}  # a link to itself, a name that none can have, a socket
# Errors of a mount that is away, or of a process that has no more of something. Others may be of one file: a bad sector, a wrong
# checksum, a missing key, a file of the kernel's.
OF_ALL_FILES = {
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE),
    *(errno.ESTALE, errno.ENODEV, errno.ENOMEDIUM, errno.ENOTCONN, errno.ESHUTDOWN, errno.EPIPE, errno.ETIMEDOUT),
    *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
}
# Seconds since 1970 that every reader of a timestamp takes, in every time zone: the years 1 to 9999, but for a day at either end.
EARLIEST, LATEST = (datetime(*day, tzinfo=UTC).timestamp() for day in ((1, 1, 2), (9999, 12, 30)))


def is_file(status: os.stat_result) -> bool:
    return stat_module.S_ISREG(status.st_mode)


def holds_file(path: Path) -> bool:
    """Whether there is a file. Raises OSError where nobody can tell, as in a folder that is shut."""
    status = status_at(path)
    return status is not None and is_file(status)


def status_at(path: Path) -> os.stat_result | None:
    """What lies there, or None. Raises OSError where nobody can tell; Python 3.14's `Path.exists` says no then."""
    try:
        return path.stat()
    except OSError as error:
        if is_gone(error):
            return None
        raise
    except ValueError:  # a null byte, which no name has
        return None


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def stat_of(uri: str, status: os.stat_result) -> Stat:
    """The stat of a file. A time that no timestamp can tell, as an unset clock or a faulty archive leaves, is the nearest one."""
    etag = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    time = min(max(status.st_mtime, EARLIEST), LATEST)
    return Stat(uri, etag, status.st_size, datetime.fromtimestamp(time, UTC))


def is_gone(error: OSError) -> bool:
    """Whether there is no such file."""
    return isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) or error.errno in NO_FILE


def may_be_of_one_file(error: OSError) -> bool:
    """Whether other files of the same file system may well be read all the same."""
    return error.errno not in OF_ALL_FILES


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Translates the operating system's errors into FruitpipeErrors that name `uri`. No other place does."""
    try:
        yield
    except PermissionError as error:
        raise AccessDenied(f"{uri}: {error.strerror}; grant access or give another URI") from error
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFound(f"{uri}: {error.strerror}: {error.filename}; give another URI") from error
    except OSError as error:
        if error.errno in NO_FILE:
            raise NotFound(f"{uri}: {error.strerror}; give another URI") from error
        raise PlatformFault(f"{uri}: {error.strerror}; fix the disk or the mount and start again") from error

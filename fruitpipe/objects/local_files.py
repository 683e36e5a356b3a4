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


def is_file(status: os.stat_result) -> bool:
    return stat_module.S_ISREG(status.st_mode)


def path_of(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def stat_of(uri: str, status: os.stat_result) -> Stat:
    etag = f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    return Stat(uri, etag, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


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

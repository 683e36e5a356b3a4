"""The file systems that are mounted below a folder, as Linux tells them."""

from __future__ import annotations

import re
from pathlib import Path

from fruitpipe.objects.local_files import path_of

MOUNTED = Path("/proc/self/mountinfo")
ESCAPED = re.compile(r"\\([0-7]{3})")  # as the kernel writes a space, a tab, a line break and a backslash


def below(uri: str, table: Path = MOUNTED) -> list[str]:
    """The URIs of the mount points below a folder, links resolved in what leads to it; none where no such table is, as on macOS.

    table: a line a mount, its mount point the fifth field (proc_pid_mountinfo(5)).
    """
    if not table.exists():
        return []
    top = path_of(uri)
    real = top.resolve()
    fields = (line.split(" ") for line in table.read_text(errors="surrogateescape").splitlines())
    points = (Path(ESCAPED.sub(lambda found: chr(int(found[1], 8)), field[4])) for field in fields)
    return sorted({f"{uri}/{point.relative_to(real)}" for point in points if real in point.parents})

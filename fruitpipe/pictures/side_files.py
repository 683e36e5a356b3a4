"""Recognises side files: files that systems write beside pictures, with names of pictures. Standard library only.

macOS writes a file's attributes into `._a.jpg` beside it where a file system has no place for them. A NAS keeps thumbnails, bins
and snapshots in the folder itself, and Jupyter copies of open files. Many of them decode, so thumbnails would be rows, and their
folders labels. Other names that begin with `.` or `_` are users' own. `lambda/collect_events.py` has the same rule.
"""

from __future__ import annotations

import re

ATTRIBUTES = "._"
TRASH_OF_A_USER = re.compile(r"\.trash-[0-9]+")  # freedesktop.org's, on another disk than the home
FOLDERS = {
    "side files of macOS": (
        "__MACOSX",
        ".AppleDouble",
        ".DocumentRevisions-V100",
        ".fseventsd",
        ".Spotlight-V100",
        ".TemporaryItems",
    ),
    "thumbnails of a NAS": ("@eaDir", ".@__thumb"),  # Synology's, QNAP's
    "thumbnails of a desktop": (".thumbnails",),
    "checkpoints of Jupyter": (".ipynb_checkpoints",),
    "deleted files in a bin": ("$RECYCLE.BIN", "#recycle", "@Recycle", ".Trash", ".Trashes", ".dtrash"),
    "earlier versions in a snapshot": (
        "#snapshot",
        "@Recently-Snapshot",
        ".snapshot",
        ".snapshots",
        "~snapshot",
        ".zfs",
        ".stversions",
    ),
}
KINDS = {folder.lower(): kind for kind, folders in FOLDERS.items() for folder in folders}
PERHAPS = re.compile(r"(?:^|/)[_.@#$~]")  # how all these names begin and few others: a quick test, done for each object
OF_MACOS, IN_A_BIN = "side files of macOS", "deleted files in a bin"


def kind(below: str) -> str | None:
    """The kind of side file at `below`, a path below the image prefix; None for any other file. Case does not matter."""
    if not PERHAPS.search(below):
        return None
    *folders, name = below.split("/")
    for folder in map(str.lower, folders):
        if folder in KINDS:
            return KINDS[folder]
        if TRASH_OF_A_USER.fullmatch(folder):
            return IN_A_BIN
    return OF_MACOS if name.startswith(ATTRIBUTES) else None

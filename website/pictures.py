"""Draws the pictures of the pages from the demo: the report, the app on a phone, and an ingest's progress bar.

Usage, in the checkout: python -m website.pictures DEMO
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.apps import served
from tests.browsers import CHROMIUM, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[1] / "docs"
TYPED = "fruitpipe ingest --images demo/images --root demo/root --once"
WIDTH = 104
FRAME = re.compile(r"(?:\r|\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh])+")
PAGE = (
    '<body style="margin: 0; background: {background}; color: {foreground}">'
    '<pre style="margin: 16px; font: 15px/1.6 monospace">{code}</pre>'
)


def main(demo: Path) -> None:
    """All three."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        draw_report(browser, demo)
        draw_app(browser, demo)
        draw_progress(browser, demo)
        browser.close()


def draw_report(browser: Any, demo: Path) -> None:
    """The report of the demo's first version, from its top."""
    address = (demo / "root" / "reports" / "v000001.html").resolve().as_uri()
    with opened(browser, address, viewport={"width": 1280, "height": 1560}) as found:
        found.page.wait_for_selector("html[data-ready=yes]")
        found.page.screenshot(path=DOCS / "report.png")


def draw_app(browser: Any, demo: Path) -> None:
    """The demo's app on a phone, which has named a picture."""
    with (
        served(demo / "app") as address,
        opened(browser, f"{address}/index.html", viewport={"width": 390, "height": 760}) as found,
    ):
        found.settled()
        found.named(demo / "images" / "Kiwi" / "0000.jpg")
        found.page.screenshot(path=DOCS / "app.png")


def draw_progress(browser: Any, demo: Path) -> None:
    """An ingest of the demo's images into a new root, as its terminal shows it halfway."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--images", f"{demo}/images", "--root", f"{folder}/root", "--once", "--max-files-per-trigger", "100"]
        flags += ["--images-without-spark", "0"]  # whose bar moves by commits of so few
        screens = list(_screens(["fruitpipe", "ingest", *flags]))
    with_rate = [screen for screen in screens if " left" in screen]
    console = Console(record=True, file=io.StringIO(), width=WIDTH, force_terminal=True)
    console.print(Text.from_ansi(f"$ {TYPED}\n{with_rate[len(with_rate) // 2]}"))
    page = browser.new_page(viewport={"width": 1000, "height": 10})
    page.set_content(console.export_html(theme=MONOKAI, code_format=PAGE, inline_styles=True))
    page.screenshot(path=DOCS / "progress.png", full_page=True)
    page.close()


def _screens(command: list[str]) -> Iterator[str]:
    """What a command's terminal shows each time that it is drawn anew: the lines that stay, and the one that moves."""
    stayed = ""
    for part in FRAME.split(_said(command)):
        yield stayed + part
        stayed += "".join(line for line in part.splitlines(keepends=True) if line.endswith("\n") and " left" not in line)


def _said(command: list[str]) -> str:
    """All that a command writes to a terminal of its own."""
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment):
        os.close(its)
        said = b""
        while part := _read(ours):
            said += part
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    """The next bytes; none where the command has ended, which Linux says by an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


if __name__ == "__main__":
    main(Path(sys.argv[1]))

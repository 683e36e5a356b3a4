"""The Chromium of this machine, for tests that need one, and a page in it of which all requests and complaints are kept."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: bash tests/install.sh")
SETTLED = "html:is([data-state=ready], [data-state=refused], [data-state=failed])"
SECONDS = 300  # a page does in 3 what a machine that is busy with other tests takes minutes for


@dataclass
class Opened:
    """A page of an app. said: what came on its console, or was thrown; asked: the addresses that it, or its worker, asked for."""

    context: Any
    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        return str(self.page.evaluate("document.documentElement.dataset.state"))

    @property
    def check(self) -> Any:
        """What the page found of the golden pictures."""
        return self.inside("page.check")

    def inside(self, expression: str, given: Any = None) -> Any:
        """What an expression gives, in which `page` is the page's own state and `given` what is given."""
        code = f"async ([source, given]) => {{ const {{ page }} = await import(source); return {expression}; }}"
        return self.page.evaluate(code, [self.page.evaluate("document.querySelector('script').src"), given])

    def settled(self) -> str:
        self.page.wait_for_selector(SETTLED, timeout=1000 * SECONDS)
        return self.state

    def named(self, path: Path) -> str:
        """The label that the page shows for a file that is chosen."""
        self.page.locator("#file").set_input_files(str(path))
        self.page.wait_for_selector("html[data-state=ready] #answer:not([hidden])", timeout=1000 * SECONDS)
        return str(self.page.locator("#label").inner_text())


@contextlib.contextmanager
def opened(browser: Any, address: str, **options: Any) -> Iterator[Opened]:
    """The page at an address, in a browser that knows nothing of it yet."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"} | options))
    found = Opened(context, context.new_page())
    context.on("request", lambda request: found.asked.append(request.url))
    watch(found, found.page)
    found.page.goto(address)
    yield found
    context.close()


def watch(found: Opened, page: Any) -> None:
    page.on("console", lambda message: found.said.append(message.text))
    page.on("pageerror", lambda error: found.said.append(str(error)))

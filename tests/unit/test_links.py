"""The pages' links to each other: each leads to a file of the checkout, and to a heading of it where it names one."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = [path for pattern in ("*.md", "docs/*.md", "benchmarks/*.md") for path in CHECKOUT.glob(pattern)]
REFERENCE = CHECKOUT / "docs" / "reference.md"  # made by `make docs`
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page):
    """What links name the headings by, as GitHub makes it of them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(page.read_text())}


def is_there(page, link):
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    return path == REFERENCE or (path.is_file() and (not anchor or anchor in anchors(path)))


def test_each_link_from_page_to_page_leads_somewhere():
    links = [(page, link) for page in PAGES for link in LINK.findall(page.read_text()) if "://" not in link]
    assert len(links) > 50
    assert [(page.name, link) for page, link in links if not is_there(page, link)] == []

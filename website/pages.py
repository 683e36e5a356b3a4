"""The site's pages for MkDocs: those of the checkout at the addresses that they link each other by, the reference, and llms.txt.

A page keeps its place in the checkout, so links hold as they stand, on the site as in an editor; what else a page links to, such
as a test, is copied beside it. llms.txt (llmstxt.org) names each page's Markdown, with a sentence of what it is about.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import reference
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.nav import Navigation
    from mkdocs.structure.pages import Page

CHECKOUT = Path(__file__).parents[1]
PAGES = ("*.md", "docs/*.md", "benchmarks/*.md")
REFERENCE = "docs/reference.md"
LINK = re.compile(r"\]\(([^)#:\s]+)")
WORD_BEHIND_LANGUAGE = re.compile(r"^(```\w+) .*$", re.MULTILINE)  # for the tests that run a block; MkDocs knows none
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PARAGRAPH = re.compile(r"^[A-Za-z`].*(?:\n.+)*", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The theme's files, each page of the checkout, what they link to, and the reference."""
    pages = [path.relative_to(CHECKOUT).as_posix() for pattern in PAGES for path in sorted(CHECKOUT.glob(pattern))]
    linked = {uri for page in pages for uri in _linked(page)} - {*pages, REFERENCE} | set(config.extra_css)
    own = [File.generated(config, uri, abs_src_path=str(CHECKOUT / uri)) for uri in [*pages, *sorted(linked)]]
    own.append(File.generated(config, REFERENCE, content=reference.page()))
    return Files([*(file for file in files if file.src_dir != config.docs_dir), *own])


def _linked(page: str) -> set[str]:
    """The files of the checkout that a page links to."""
    targets = LINK.findall((CHECKOUT / page).read_text())
    uris = {os.path.normpath(PurePosixPath(page).parent / target) for target in targets}
    return {uri for uri in uris if (CHECKOUT / uri).is_file()}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names them
    """A page without what its tests alone read."""
    return WORD_BEHIND_LANGUAGE.sub(r"\1", markdown)


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> None:  # noqa: ARG001 - MkDocs names them
    """Keeps the pages in their order for llms.txt."""
    config.extra["navigation"] = nav


def on_post_build(config: MkDocsConfig) -> None:
    """Writes each page's Markdown and llms.txt beside the pages."""
    site = Path(config.site_dir)
    nav = config.extra["navigation"]
    parts = [f"# {config.site_name}\n\n> {config.site_description}\n"]
    for item in nav.items:
        entries = (_entry(page, config.site_url or "") for page in item.children or [item])
        parts.append(f"## {item.title if item.is_section else 'Start'}\n\n" + "".join(entries))
    for page in nav.pages:
        (site / page.file.src_uri).write_text(page.file.content_string)
    (site / "llms.txt").write_text("\n".join(parts))


def _entry(page: Page, address: str) -> str:
    """A page's line in llms.txt: its title, the address of its Markdown, and the first sentence of its first paragraph."""
    paragraphs = PARAGRAPH.findall(BLOCK.sub("", page.file.content_string))
    paragraph = " ".join("".join(paragraphs[:1]).split())
    about = re.split(r"(?<=[.:]) ", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", paragraph))[0].rstrip(":")
    return f"- [{page.title}]({address}{page.file.src_uri}): {about}\n"

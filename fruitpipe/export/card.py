"""The card of a dataset folder, README.md: YAML that the Hugging Face Hub reads, then a page for people. It names no image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fruitpipe
from fruitpipe.output import to_json

if TYPE_CHECKING:
    from fruitpipe.export.described import Described

COLUMNS = (("path", "string"), ("label", "string"))
VECTORS = "pca_features"


def of(described: Described) -> bytes:
    """The whole file."""
    return "\n".join([*_front_matter(described), "", *_page(described), ""]).encode()


def _front_matter(described: Described) -> list[str]:
    """Each text in it is a JSON string, which YAML takes as it is."""
    given = {"pretty_name": described.title} | ({"license": described.license} if described.license else {})
    return [
        "---",
        *(f"{name}: {to_json(text)}" for name, text in given.items()),
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path:",
        *(f"    - {to_json(file.path)}" for file in described.files),
        "dataset_info:",
        "  features:",
        *(line for name, kind in COLUMNS for line in (f"  - name: {name}", f"    dtype: {kind}")),
        f"  - name: {VECTORS}",
        "    sequence: float32",
        "---",
    ]


def _page(described: Described) -> list[str]:
    facts = described.facts
    return [
        f"# {to_json(described.title)[1:-1]}",
        "",
        "| column | type | |",
        "|---|---|---|",
        "| `path` | string | the image that the row is of |",
        "| `label` | string | its label |",
        f"| `{VECTORS}` | list of {facts['k']} float32 | principal components of the image's standardised features |",
        "",
        f"- version {described.version}, of {facts['created_at']}: {facts['rows']} rows, a row an image",
        f"- basis {described.basis}: vectors of one basis can be compared, and those of two bases cannot",
        f"- extractor {facts['extractor']}",
        "",
        f"Written by fruitpipe {fruitpipe.__version__}, whose command publish writes it again when another version is current.",
    ]

"""The description of a dataset folder in Croissant 1.0, which is JSON-LD: its files with hashes, its columns with types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fruitpipe.export.place import root_digits
from fruitpipe.output import to_json
from fruitpipe.refit import pointer

if TYPE_CHECKING:
    from fruitpipe.export.described import DataFile, Described

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
FILES, RECORDS = "parquet-files", "images"
PARQUET = "application/x-parquet"
CROISSANT = (  # the words that it adds to schema.org's
    *("citeAs", "column", "conformsTo", "data", "dataType", "equivalentProperty", "examples", "extract", "field", "fileProperty"),
    *("fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path"),
    *("recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)


def of(described: Described) -> bytes:
    """The whole file."""
    facts = described.facts
    page = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": described.title,
        "description": f"Reduced image features, version {described.version}, basis {described.basis}: {facts['rows']} rows",
        "identifier": root_digits(described.root),
        "version": f"{pointer.number(described.version)}.0.0",
        "datePublished": facts["created_at"],
        **({"license": described.license} if described.license else {}),
        "distribution": [*map(_file, described.files), _set(described)],
        "recordSet": [{"@type": "cr:RecordSet", "@id": RECORDS, "name": RECORDS, "field": _fields()}],
    }
    return to_json(page, indent=1).encode()


def _context() -> dict[str, Any]:
    words: dict[str, Any] = {word: f"cr:{word}" for word in CROISSANT}
    words |= {name: {"@id": f"cr:{name}", "@type": "@json"} for name in ("data", "examples")}
    words["dataType"] = {"@id": "cr:dataType", "@type": "@vocab"}
    prefixes = {"cr": "http://mlcommons.org/croissant/", "sc": "https://schema.org/", "dct": "http://purl.org/dc/terms/"}
    prefixes["rai"] = f"{prefixes['cr']}RAI/"
    return {"@language": "en", "@vocab": prefixes["sc"]} | prefixes | words | {"conformsTo": "dct:conformsTo"}


def _file(file: DataFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.name,
        "contentUrl": file.path,
        "contentSize": f"{file.length} B",
        "encodingFormat": PARQUET,
        "sha256": file.sha256,
    }


def _set(described: Described) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": FILES,
        "name": FILES,
        "encodingFormat": PARQUET,
        "includes": [file.path for file in described.files],
    }


def _fields() -> list[dict[str, Any]]:
    texts = [_field("path", "sc:Text"), _field("label", "sc:Text")]
    return [*texts, _field("pca_features", "sc:Float") | {"repeated": True}]


def _field(column: str, kind: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{column}",
        "name": column,
        "dataType": kind,
        "source": {"fileSet": {"@id": FILES}, "extract": {"column": column}},
    }

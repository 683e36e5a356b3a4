"""Decodes the bytes of a file into the texts and vectors in it, without asking the table or its log what the file holds.

It reads Parquet with its dictionaries, statistics and metadata, NumPy archives, compressed files, and other bytes as they are.
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fruitpipe.erasure.unpacking import NotReadable, bounded, unpacker
from fruitpipe.root import manifests

PATHS = "path"  # the column of the image's name, in the features and in the reduced features
ROWS = 2048  # decoded at a time: 10 MB of vectors
UNREADABLE = (  # what readers raise for a file that is cut, damaged, or not for everybody
    pa.ArrowException,
    OSError,
    ValueError,
    EOFError,
    RuntimeError,  # an archive with a password, or packed in a way that is not known here
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)


class Part(NamedTuple):
    """A piece of what a file holds.

    texts: those that may name an image, in any spelling. vectors: (n, d) float32, or None. paths: the `path` of the n rows, where
    the file has such a column; see `names_of`. raw: bytes that were not decoded and may hold a vector. binary: bytes that may
    hold a name in its plain spelling only: ``a%20b.jpg`` in a column of paths is another image than ``a b.jpg``.
    """

    texts: list[bytes]
    vectors: NDArray[np.float32] | None = None
    paths: pa.Array[Any] | None = None
    raw: bytes = b""
    binary: bytes = b""

    def names_of(self, rows: NDArray[np.bool_]) -> list[str | None]:
        """The `path` of the chosen rows, (n,) bool; None for each where the file has no such column."""
        if self.paths is None:
            return [None] * int(rows.sum())
        return list(self.paths.filter(pa.array(rows)).cast(pa.string()).to_pylist())


def parts(body: bytes, *, with_vectors: bool = True) -> Iterator[Part]:
    """Everything that the bytes of a file hold. with_vectors: whether to decode the vectors of Parquet, most of its bytes.

    Raises NotReadable for a file that is cut or damaged, or unpacks to more than `unpacking` allows.
    """
    unpack = unpacker(body)
    try:
        if body.startswith(b"PAR1"):
            yield Part([], binary=body)  # pages that are not compressed, and the footer; what they mean comes next
            yield from _parquet(body, with_vectors=with_vectors)
        elif body.startswith(b"PK\x03\x04"):
            yield from _archive(body)
        elif body.startswith(b"\x93NUMPY"):
            yield from _array(np.load(io.BytesIO(body), allow_pickle=False))
        elif unpack:
            yield Part([], raw=body, binary=body)  # bytes behind the compressed data, which the decompressors skip
            yield from parts(unpack(body), with_vectors=with_vectors)
        else:
            yield Part([body], raw=body)
    except UNREADABLE as error:
        raise NotReadable(str(error)) from error


def images(body: bytes) -> list[str]:
    """The names of the images that a file is about: those of rows in Parquet, or of events, one a line. None of other files.

    Raises NotReadable.
    """
    return images_of_rows(pa.BufferReader(body)) if body.startswith(b"PAR1") else images_of_events(body)


def images_of_events(text: bytes) -> list[str]:
    """The names of the images of which a text has events, one a line."""
    return [event.path for line in text.splitlines() if (event := _event(line))]


def images_of_rows(parquet: Any) -> list[str]:
    """The names of the images of which a Parquet file, open for reading, has rows. Reads one column. Raises NotReadable."""
    try:
        file = pq.ParquetFile(parquet, pre_buffer=True)
        named = file.read([PATHS])[PATHS].unique().to_pylist() if PATHS in file.schema_arrow.names else []
    except (pa.ArrowException, OSError) as error:
        raise NotReadable(str(error)) from error
    return [path for path in named if isinstance(path, str) and manifests.IMAGE_PATH.fullmatch(path)]


def _event(line: bytes) -> manifests.ImageEvent | None:
    if b'"event"' not in line:  # nor is any line of a large log parsed
        return None
    try:
        return manifests.parse_line(line.decode())
    except ValueError:
        return None


def _parquet(body: bytes, *, with_vectors: bool) -> Iterator[Part]:
    file = pq.ParquetFile(pa.BufferReader(body))
    yield from _footer(file)
    fields = [field for field in file.schema_arrow if with_vectors or not _holds_vectors(field.type)]
    texts = [field.name for field in fields if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    # As dictionaries, so that entries that no row refers to are read too.
    file = pq.ParquetFile(pa.BufferReader(body), read_dictionary=texts)
    dictionaries: dict[str, Any] = {}  # a row group has one for all its batches
    for batch in file.iter_batches(ROWS, columns=[field.name for field in fields], use_threads=False):
        paths = batch.column(PATHS) if PATHS in batch.schema.names else None
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if isinstance(column, pa.DictionaryArray):
                if name in dictionaries and column.dictionary.equals(dictionaries[name]):
                    continue
                dictionaries[name] = column.dictionary
            for part in _column(column):
                if name == PATHS:
                    yield Part([], binary=b"\n".join(part.texts))
                    continue
                aligned = part.vectors is not None and paths is not None and len(part.vectors) == len(paths)
                yield part._replace(paths=paths) if aligned else part


def _holds_vectors(kind: Any) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _footer(file: pq.ParquetFile) -> Iterator[Part]:
    for key, value in (file.metadata.metadata or {}).items():
        yield Part([key, value])
    for group in range(file.metadata.num_row_groups):
        for column in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(column)
            if chunk.statistics is not None and chunk.statistics.has_min_max:
                texts = _as_bytes([chunk.statistics.min, chunk.statistics.max])
                yield Part([], binary=texts[0]) if chunk.path_in_schema == PATHS else Part(texts)


def _column(column: pa.Array[Any]) -> Iterator[Part]:
    """The texts and vectors of a column, nested ones too; a null vector is a row of zeros."""
    kind: Any = column.type
    values: Any = column
    if pa.types.is_dictionary(kind):
        yield from _column(values.dictionary)
    elif pa.types.is_struct(kind):
        for child in values.flatten():
            yield from _column(child)
    elif pa.types.is_map(kind):
        yield from _column(values.keys)
        yield from _column(values.items)
    elif _holds_vectors(kind):
        yield from _vectors(values)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _column(values.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield Part([_joined(values)])


def _vectors(lists: Any) -> Iterator[Part]:
    """Lists of one length, nulls aside, as one matrix; others one by one."""
    flat = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), np.float32)
    lengths = np.asarray(lists.value_lengths().fill_null(0))
    width = int(lengths.max(initial=0))
    if width and np.isin(lengths, (0, width)).all():
        rows = np.zeros((len(lengths), width), np.float32)
        rows[lengths == width] = flat.reshape(-1, width)
        yield Part([], rows)
    elif width:
        for row in np.split(flat, lengths.cumsum()[:-1]):
            yield Part([], row[np.newaxis])


def _archive(body: bytes) -> Iterator[Part]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        for member in archive.namelist():
            with archive.open(member) as packed:
                yield from parts(bounded(packed))


def _array(array: NDArray[Any]) -> Iterator[Part]:
    if array.dtype.kind in "US":
        yield Part(_as_bytes(array.ravel().tolist()))
    elif array.dtype.kind == "f" and array.ndim:
        yield Part([], np.asarray(array, np.float32).reshape(-1, array.shape[-1]))


def _as_bytes(values: list[Any]) -> list[bytes]:
    """The texts among `values` joined by newlines, for one search over all."""
    texts = (value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values)
    return [b"\n".join(text for text in texts if isinstance(text, bytes))]


def _joined(texts: Any) -> bytes:
    """The texts of an Arrow array joined by newlines, without making a Python object of each."""
    there = texts.drop_null().cast(pa.large_binary())
    lines = pa.LargeListArray.from_arrays(pa.array([0, len(there)], pa.int64()), there)
    joined: Any = pc.binary_join(lines, pa.scalar(b"\n", pa.large_binary()))
    return bytes(joined[0].as_py())

"""What an erasure looks for is found in every spelling and every format, and its neighbours are left alone."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import time
from urllib.parse import quote, quote_plus

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe import objects
from fruitpipe.erasure import file_contents, places, search, unpacking
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.needles import Needles
from fruitpipe.root.manifests import ImageEvent, to_line

PATH = "s3://b/Apple Golden 2/a+b%20c&pêche\u00b2🍎'.jpg"
VECTORS = np.random.default_rng(0).random((5, 1280), dtype=np.float32) * (np.random.default_rng(1).random((5, 1280)) > 0.5)
OTHERS = [f"s3://b/Kiwi/{number}.jpg" for number in range(4)]


def holds(uri, body, traces):
    shown = search.of_file(uri, body, traces)
    return shown.is_trace(shown.shared)


@pytest.fixture
def traces():
    return Traces.of([PATH], [VECTORS[4]])


@pytest.mark.parametrize(
    "text",
    [
        PATH,
        PATH.replace("s3://", "s3a://"),
        json.dumps(PATH),
        json.dumps({"stats": json.dumps({"minValues": {"path": PATH}})}),
        json.dumps(PATH, ensure_ascii=False).replace("/", r"\/"),
        quote(PATH, safe="/:"),
        quote(PATH),
        quote_plus(PATH),
        json.dumps(quote(PATH, safe="/:+&'")),
        f"<td>{PATH.replace('&', '&amp;').replace(chr(39), '&#39;')}</td>",
        f"could not read {PATH}: timeout",
    ],
)
def test_a_name_is_found_in_every_spelling(traces, text):
    assert traces.named_in(f"before\n{text}\nafter".encode())


@pytest.mark.parametrize(
    "text", [PATH + ".bak", PATH.replace(".jpg", ".jpgx"), PATH.replace("//b/", "//bb/"), "s3://x" + PATH[4:], PATH[:-1]]
)
def test_another_images_name_of_which_it_is_a_part_is_none(traces, text):
    assert not traces.named_in(json.dumps(text).encode())


def test_a_local_name_is_found_with_each_scheme_and_without():
    traces = Traces.of(["file:///data/Kiwi/0 1.jpg"])
    for text in (b"file:///data/Kiwi/0 1.jpg", b"file:/data/Kiwi/0%201.jpg", b'"/data/Kiwi/0 1.jpg"'):
        assert traces.named_in(text)
    assert not traces.named_in(b"file:///old/data/Kiwi/0 1.jpg")


def test_ten_thousand_names_are_each_found_and_no_other():
    paths = [f"s3://fruits/{number % 7}/{number}.jpg" for number in range(10_000)]
    traces = Traces.of(paths)
    assert all(traces.named_in(path.encode()) for path in paths[::100])
    assert not any(traces.named_in(f"s3://fruits/{number % 7}/{number + 1}.jpg".encode()) for number in range(10_000, 10_100))


def parquet(compression: str, row: str | None = PATH) -> bytes:
    table = pa.table(
        {
            "path": [*OTHERS, row],
            "features": pa.array(list(VECTORS)),
            "add": [{"stats": json.dumps({"rows": number})} for number in range(5)],
        }
    )
    body = io.BytesIO()
    pq.write_table(table, body, compression=compression, write_statistics=False)
    return body.getvalue()


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_names_and_vectors_are_found_in_parquet_of_each_compression(compression, traces):
    nameless = Traces.of(["s3://b/none.jpg"], [VECTORS[4]])
    assert holds("f", parquet(compression), Traces.of([PATH]))
    assert holds("f", parquet(compression, None), nameless)
    assert not holds("f", parquet(compression), Traces.of(["s3://b/none.jpg"], [VECTORS[4] + 1]))
    assert not holds("f", b"".join([b"PAR1"[:0], json.dumps(OTHERS).encode()]), traces)


def test_in_a_column_of_paths_a_name_that_looks_like_anothers_encoding_is_an_image_of_its_own():
    looks_alike = Traces.of(["s3://b/a b.jpg"])
    assert not holds("f", parquet("none", "s3://b/a%20b.jpg"), looks_alike)
    assert holds("f", parquet("none", "s3://b/a b.jpg"), looks_alike)
    assert holds("f", json.dumps({"path": "s3://b/a%20b.jpg"}).encode(), looks_alike)


def test_a_dictionary_entry_that_no_row_refers_to_is_found(traces):
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["x", PATH]))
    body = io.BytesIO()
    pq.write_table(pa.table({"message": column}), body, compression="zstd", write_statistics=False)
    assert holds("f", body.getvalue(), traces)


def test_a_footers_statistics_and_metadata_are_read(traces):
    body = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({"why": PATH}), body)
    assert holds("f", body.getvalue(), traces)


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda body: pa.Codec("zstd").compress(body, asbytes=True),
        lambda body: pa.Codec("lz4").compress(body, asbytes=True),
        lambda body: unpacking.SNAPPY + snappy_chunk(body),
        lambda body: gzip.compress(gzip.compress(body)),
    ],
)
def test_compressed_files_are_unpacked(pack, traces):
    assert holds("f", pack(f"a line\n{PATH}\n".encode()), traces)
    assert holds("f", pack(b"xyz" + VECTORS[4].tobytes()), traces)
    assert not holds("f", pack(b"xyz" + VECTORS[3].tobytes()), traces)


def snappy_chunk(body: bytes) -> bytes:
    packed = pa.compress(body, "snappy", asbytes=True)
    return b"\x00" + (len(packed) + 4).to_bytes(3, "little") + b"\x00\x00\x00\x00" + packed


def test_a_models_arrays_are_read_the_sums_of_labels_among_them(traces):
    body = io.BytesIO()
    np.savez(body, label_sums=VECTORS.astype(np.float64), labels=np.array(["Kiwi"]))
    assert holds("f", body.getvalue(), traces)
    body = io.BytesIO()
    np.savez_compressed(body, examples=np.array([PATH]))
    assert holds("f", body.getvalue(), traces)
    body = io.BytesIO()
    np.savez(body, label_sums=VECTORS[:4].astype(np.float64))
    assert not holds("f", body.getvalue(), traces)


def rows(*named_vectors) -> bytes:
    names, vectors = zip(*named_vectors, strict=True)
    body = io.BytesIO()
    pq.write_table(pa.table({"path": pa.array(names, pa.string()), "features": pa.array(list(vectors))}), body)
    return body.getvalue()


@pytest.fixture
def found_in(tmp_path):
    """The files of a root in which a search finds something, read in the order in which they are given."""

    def found_in(traces, **bodies):
        for name, body in bodies.items():
            (tmp_path / name).write_bytes(body)
        uris = [f"file://{tmp_path}/{name}" for name in bodies]
        forth, back = search.of_files(uris, traces), search.of_files(uris[::-1], traces)
        assert sorted(forth.found) == sorted(back.found)
        return {uri.rpartition("/")[2] for uri in forth.found}

    return found_in


def test_a_vector_that_is_another_images_as_well_is_that_ones_in_whatever_order_the_files_are_read(traces, found_in):
    nameless, twin = rows((None, VECTORS[4])), rows(("s3://b/twin.jpg", VECTORS[4]))
    assert found_in(traces, nameless=nameless) == {"nameless"}
    assert found_in(traces, nameless=nameless, twin=twin) == set()
    assert found_in(traces, nameless=nameless, own=rows((PATH, VECTORS[4])), twin=twin) == {"own"}


def test_a_twin_of_one_image_does_not_hide_another_in_bytes_that_are_not_understood(found_in):
    both = Traces.of([PATH, OTHERS[0]], [VECTORS[4], VECTORS[0]])
    twin = rows(("s3://b/twin.jpg", VECTORS[4]))
    assert found_in(both, first=b"xyz" + VECTORS[4].tobytes(), second=b"abc" + VECTORS[0].tobytes(), twin=twin) == {"second"}


def test_what_was_found_for_several_requests_is_told_apart(tmp_path):
    mine, others = Traces.of([PATH], [VECTORS[4]]), Traces.of([OTHERS[0]], [VECTORS[0]])
    for name, body in {"a": rows((PATH, VECTORS[4])), "b": VECTORS[0].tobytes(), "c": OTHERS[0].encode()}.items():
        (tmp_path / name).write_bytes(body)
    uris = {name: f"file://{tmp_path}/{name}" for name in "abc"}
    found = search.of_files(uris.values(), Traces.all_of([mine, others]))
    assert sorted(found.found) == sorted(uris.values())
    assert search.of_one(found, mine) == [uris["a"]]
    assert search.of_one(found, others) == [uris["b"], uris["c"]]


def test_more_than_is_looked_at_of_a_compressed_file_is_not_taken_for_read(monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_UNPACKED_BYTES", 1000)
    monkeypatch.setattr(unpacking, "CHUNK_BYTES", 300)
    packers = (gzip.compress, bz2.compress, lzma.compress, lambda body: unpacking.SNAPPY + snappy_chunk(body))
    for pack in (
        *packers,
        *(lambda body, codec=codec: pa.Codec(codec).compress(body, asbytes=True) for codec in ("zstd", "lz4")),
    ):
        assert list(file_contents.parts(pack(b"x" * 1000)))[1].raw == b"x" * 1000
        with pytest.raises(unpacking.NotReadable, match="unpacks to more than 1000 bytes"):
            list(file_contents.parts(pack(b"x" * 1001)))
    body = io.BytesIO()
    np.savez_compressed(body, zeros=np.zeros(1000))
    with pytest.raises(unpacking.NotReadable, match="unpacks to more than"):
        list(file_contents.parts(body.getvalue()))


def test_what_follows_the_packed_data_of_a_file_is_read_too(traces):
    assert holds("f", bz2.compress(b"nothing") + PATH.encode(), traces)


def test_a_file_that_cannot_be_understood_is_not_taken_for_an_empty_one(traces):
    with pytest.raises(unpacking.NotReadable):
        holds("f", parquet("snappy")[:-20], traces)
    with pytest.raises(unpacking.NotReadable):
        holds("f", gzip.compress(b"x" * 1000)[:-9], traces)


def test_lines_that_name_an_image_go_and_the_others_stay_byte_for_byte(traces):
    kept = [json.dumps({"path": path}).encode() + b"\r\n" for path in OTHERS] + [b"v1\n", b"nonsense \xff\x00"]
    body = b"".join([*kept[:2], json.dumps({"path": PATH}).encode() + b"\n", *kept[2:]])
    left, taken = places.lines_apart(body, traces)
    assert left == b"".join(kept)
    assert taken == [json.dumps({"path": PATH}).encode() + b"\n"]


def test_a_line_that_begins_as_another_kind_of_file_does_is_a_line(traces):
    named = b"PAR1 " + PATH.encode() + b"\n"
    assert places.lines_apart(b"kept\n" + named, traces) == (b"kept\n", [named])


def test_traces_survive_being_kept(traces):
    again = Traces.from_json(traces.to_json())
    assert again.paths == traces.paths
    assert again.vectors_in(VECTORS)[0].tolist() == [False, False, False, False, True]
    assert again.windows_in(VECTORS[4].tobytes()) == frozenset(traces.digests.tolist())


@pytest.mark.parametrize("end", [" (1).jpg", "@2x.jpg", ":large.jpg", ",v.jpg", "~1.jpg", "/1.jpg"])
def test_another_image_whose_name_goes_on_is_no_trace(end):
    erased, other = "s3://b/a.jpg", f"s3://b/a.jpg{end}"
    known = Traces.of([erased]).beside([other])
    assert holds("f", json.dumps({"path": other}).encode(), Traces.of([erased]))  # what it would be taken for
    assert not holds("f", json.dumps({"path": other}).encode(), known)
    assert holds("f", json.dumps([other, erased]).encode(), known)


@pytest.mark.parametrize("other", ["s3://b/K/a%20b.jpg", "s3://b/K/a+b.jpg", "s3://b/K/%61 b.jpg"])
def test_another_image_whose_name_reads_like_an_erased_one_when_it_is_decoded_is_no_trace(other):
    erased, beside = "s3://b/K/a b.jpg", "s3://b/K/100%.jpg"
    known = Traces.of([erased]).beside([other])
    lines = json.dumps({"path": other, "beside": beside}).encode()
    assert holds("f", lines, Traces.of([erased]))  # what it would be taken for
    assert not holds("f", lines, known)
    assert not holds("f", json.dumps({"stats": json.dumps({"maxValues": {"path": other}})}).encode(), known)
    assert holds("f", json.dumps([other, erased]).encode(), known)
    assert holds("f", f"{other} {quote_plus(erased)}".encode(), known)


@pytest.mark.parametrize(
    "other",
    [
        "s3://b/K/a b.jpg (1).jpg",
        "s3://b/K/a b.jpg/tile 0.jpg",
        "s3://b/K/a%20b.jpg@2x.jpg",
        "s3://b/K/a%20b.jpg",
        "s3://b/copies (old)//b/K/a b.jpg",
        "s3://b/K/a&#32;b.jpg",
    ],
)
def test_an_image_that_a_file_lists_itself_is_told_from_an_erased_one_by_its_whole_name(other):
    erased, late = "s3://b/K/a b.jpg", ImageEvent("removed", "s3://b/K/a b.jpg")
    traces, event = Traces.of([erased]), ImageEvent("created", other)
    assert traces.among(["s3://b/K/other.jpg", other, erased]) == [other]
    assert not holds("f", parquet("none", other), traces)
    assert holds("f", both_rows(other, erased), traces)
    lines = [f"{to_line(one)}\n".encode() for one in (event, late)]
    assert not holds("f", lines[0], traces)
    assert holds("f", b"".join(lines), traces)
    assert places.lines_apart(b"".join(lines), traces) == (lines[0], [lines[1]])
    assert not traces.beside([other]).named_in(json.dumps({"stats": json.dumps({"minValues": {"path": other}})}).encode())
    assert traces.beside([other]).named_in(json.dumps({"min": other, "max": erased}).encode())


def both_rows(*paths):
    body = io.BytesIO()
    pq.write_table(pa.table({"path": list(paths)}), body)
    return body.getvalue()


def test_an_event_of_another_image_that_says_an_erased_ones_name_elsewhere_is_a_trace():
    line = json.dumps({"event": "created", "path": "s3://b/a.jpg (1).jpg", "note": "was s3://b/a.jpg"}).encode()
    assert search.is_of(line, Traces.of(["s3://b/a.jpg"]))


@pytest.mark.parametrize("spelling", ["s3a://b/a.jpg", "s3://b/a.jpg", "seen at s3://b/a.jpg (twice)"])
def test_a_column_of_paths_that_somebody_else_wrote_names_it_in_each_spelling(spelling):
    assert holds("f", both_rows(spelling), Traces.of(["s3://b/a.jpg"]))


def test_of_names_that_stay_and_begin_alike_the_longest_is_taken_out():
    needles = Needles(["s3://b/a.jpg (1)", "s3://b/a.jpg (1).jpg", "s3://b/a.jpg (1).jpg, s3://b/c.jpg"])
    text = b"<s3://b/a.jpg (1).jpg, s3://b/c.jpg> s3://b/a.jpg (1).jpg.bak"
    assert needles.cut_from(text) == b"<s3:\n> s3://b/a.jpg (1).jpg.bak"
    assert needles.cut_from(b"xs3://b/a.jpg") == b"xs3://b/a.jpg"


def test_ten_thousand_names_that_stay_beside_as_many_erased_ones_are_each_told_apart():
    """In a second: each of them costs a look where it stands, and none a pass over the text."""
    erased = [f"s3://fruits/{number}.jpg" for number in range(10_000)]
    staying = [f"{path} (1).jpg" for path in erased]
    text, traces = "\n".join(staying).encode(), Traces.of(erased)
    began = time.process_time()
    assert traces.among([*staying, *erased, "s3://fruits/x.jpg"]) == staying
    assert not traces.beside(staying).named_in(text)
    assert traces.beside(staying).named_in(text + b"\n" + erased[5000].encode())
    assert time.process_time() - began < 20  # 10,000 passes take minutes


def test_only_files_with_rows_of_the_images_are_read_whole(tmp_path, monkeypatch):
    """And a file that a killed task left unfinished is none of them."""
    for name, paths in (("features/a", OTHERS), ("features/b", [*OTHERS, PATH]), ("reduced/v000001/part-0", [PATH])):
        file = tmp_path / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"path": paths, "features": list(VECTORS[-len(paths) :])}), file)
    (tmp_path / "features" / "cut.parquet").write_bytes((tmp_path / "features" / "b.parquet").read_bytes()[:-9])
    read, bodies = [], search.bodies
    monkeypatch.setattr(search, "bodies", lambda uris: bodies(read.extend(uris) or read))
    found = search.vectors_by_path(f"file://{tmp_path}", frozenset([PATH]))
    assert sorted(objects.name(uri) for uri in read) == ["b.parquet", "part-0.parquet"]
    np.testing.assert_array_equal(found[PATH], [VECTORS[4], VECTORS[4]])

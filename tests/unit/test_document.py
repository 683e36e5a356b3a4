"""What the report holds, counted against what was put there; how it behaves in a browser is tested beside."""

import base64
import errno
import io
import json
import multiprocessing
import os
import re
import signal
from contextlib import closing

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from fruitpipe.pictures import thumbnails
from fruitpipe.reduction.nearest import nearest_other
from fruitpipe.refit import row_sample
from fruitpipe.report import document, neighbours
from fruitpipe.table.snapshot import Snapshot
from tests.encodings import encoded
from tests.pictures import jpeg, put
from tests.reports import EACH, LABELS, TABLE, model, sampled
from tests.rows import empty_table


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return sampled(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def page(rows):
    return document.html(model(rows), rows, TABLE)


def data(page, element):
    (body,) = re.findall(rf'<script id="{element}" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(body)


def test_each_image_of_the_sample_is_there_with_its_picture(page, rows):
    images = data(page, "images")
    assert images["paths"] == rows["path"].to_pylist()
    assert images["labels"] == rows["label"].to_pylist()
    picture = Image.open(io.BytesIO(base64.b64decode(images["pictures"][0].partition(",")[2])))
    original = Image.open(io.BytesIO(jpeg(0))).resize(picture.size)
    assert picture.size == (64, 64)
    assert np.abs(np.asarray(picture.convert("RGB"), float) - np.asarray(original, float)).mean() < 12


def test_paths_stand_in_the_two_elements_that_erasure_looks_into_and_nowhere_else(page, rows):
    for element in ("images", "failures"):
        page = re.sub(rf'<script id="{element}".*?</script>', "", page, flags=re.DOTALL)
    assert not [path for path in rows["path"].to_pylist() if path in page]
    assert "cut.jpg" not in page


def test_no_name_can_break_out_of_its_element(page):
    assert "<b>Pomme" not in page
    assert "<i>cut" not in page
    assert data(page, "failures")[0]["path"] == "s3://b/<i>cut.jpg"


def test_a_name_cannot_turn_or_break_the_text_beside_it(rows):
    odd = "gpj.\u202efdp\n.exe"
    labels = [odd, *rows["label"].to_pylist()[1:]]
    page = document.html(model(rows), rows.set_column(rows.column_names.index("label"), "label", pa.array(labels)), TABLE)
    assert "\u202e" not in page.replace(document.plotly_js(), "")
    assert data(page, "images")["labels"][0] == r'"gpj.\u202efdp\n.exe"'


def test_the_page_names_no_address_that_a_browser_would_fetch(page):
    ours = page.replace(document.plotly_js(), "")
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)[^"']+""", ours) == []
    assert re.findall(r"https?://", ours) == []


def test_variance_confusion_and_table_are_those_of_the_data(page, rows):
    shown, fitted = data(page, "report"), model(rows)
    assert shown["facts"]["k"] == fitted.reduction.k
    assert shown["cumulative"][fitted.reduction.k - 1] == pytest.approx(fitted.reduction.variance_kept, abs=1e-5)
    assert shown["confusion"]["before"] == shown["confusion"]["after"] == (EACH * np.eye(3, dtype=int)).tolist()
    assert shown["confusion"]["labels"] == sorted(LABELS)
    assert (shown["labels"], shown["errors"]) == (TABLE.labels, TABLE.errors)
    reduced = fitted.reduction.transform(np.array(rows["features"].to_pylist(), np.float32))
    np.testing.assert_allclose(np.array(shown["components"]).T, reduced[:, :2], atol=1e-3)


def test_a_report_that_is_written_while_a_rollback_holds_says_so(page, rows):
    held = "v000001 is held since 2026-11-05 10:00 UTC, until fruitpipe release --root s3://b/fruit"
    assert data(document.html(model(rows), rows, TABLE, held), "report")["held"] == held
    assert data(page, "report")["held"] == ""


def test_the_nearest_other_image_is_scikit_learns():
    vectors = np.random.default_rng(1).normal(size=(60, 7)).astype(np.float32)
    _, found = NearestNeighbors(n_neighbors=2).fit(vectors).kneighbors(vectors)
    np.testing.assert_array_equal(nearest_other(vectors), found[:, 1])


def test_a_mix_up_is_counted_in_the_row_of_the_image_and_the_column_of_its_neighbour():
    matrix = neighbours.confusion(np.array([[0.0], [0.4], [1.0], [1.1]]), np.array([0, 0, 1, 0]), 2)
    assert matrix.tolist() == [[2, 1], [1, 0]]
    assert neighbours.agreement(matrix) == 0.5


@pytest.mark.parametrize("count", [0, 1, 3, 4, 60])
def test_the_map_keeps_groups_together_and_is_the_same_each_time(count):
    groups = np.arange(count) % 3
    vectors = (10 * np.eye(3, 8)[groups] + np.random.default_rng(2).normal(size=(count, 8))).astype(np.float32)
    placed = neighbours.arranged(vectors)
    assert placed.shape == (count, 2)
    np.testing.assert_array_equal(placed, neighbours.arranged(vectors))
    if count == 60:
        assert (groups[nearest_other(placed)] == groups).all()


def test_images_that_are_all_the_same_are_at_one_place_of_the_map():
    placed = neighbours.arranged(np.full((20, 8), 0.5, np.float32))
    assert placed.shape == (20, 2)
    assert np.isfinite(placed).all()
    assert len(np.unique(placed, axis=0)) == 1


def test_a_sample_does_not_depend_on_how_the_rows_are_split():
    paths = [f"s3://b/{number}.jpg" for number in range(4000)]
    batch = pa.record_batch({"path": paths, "label": ["a"] * 4000, "features": pa.array([[1.0]] * 4000, pa.list_(pa.float32()))})
    below = row_sample.RANGE // 4
    whole = pa.Table.from_batches(row_sample.choose([batch], below))
    parts = pa.Table.from_batches(row_sample.choose([batch.slice(0, 999), batch.slice(999)], below))
    assert whole.equals(parts.combine_chunks())
    assert 900 < len(whole) < 1100


def test_a_picture_that_is_gone_or_no_picture_has_no_thumbnail(tmp_path):
    paths = [
        put(tmp_path / "a.jpg", jpeg(1)),
        f"file://{tmp_path}/gone.jpg",
        put(tmp_path / "b.jpg", b"text"),
        put(tmp_path / "c.jpg", b""),
    ]
    assert [bool(found) for found in thumbnails.of(paths)] == [True, False, False, False]


def test_a_report_of_a_table_that_is_empty_by_now_says_so(tmp_path):
    root = f"file://{tmp_path}/root"
    empty_table(root)
    table = document.read_table(Snapshot(root))
    assert table == document.Table({}, {"unit": "minute", "at": [], "images": []}, {}, [])


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_thumbnail_shows_what_the_network_was_given(orientation):
    """16 bits a channel scaled to 8, transparency on white, turned as the camera was held."""
    deep = Image.fromarray(np.full((40, 80), 0x4000, np.uint16))
    seen = shown(encoded(deep, "PNG", exif=held(orientation)))
    assert seen.size == ((64, 32) if orientation == 1 else (32, 64))
    assert np.abs(np.asarray(seen, int) - 0x40).max() <= 3
    clear = Image.new("RGBA", (80, 40), (200, 0, 0, 0))
    assert np.asarray(shown(encoded(clear, "PNG", exif=held(orientation)))).min() >= 252


def shown(body):
    return Image.open(io.BytesIO(base64.b64decode(thumbnails.thumbnail(body).partition(",")[2]))).convert("RGB")


def held(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_a_picture_that_raises_whatever_it_is_has_no_thumbnail_and_holds_no_version_up(monkeypatch):
    def raises(_):
        raise RuntimeError("as no decoder should")

    monkeypatch.setattr(thumbnails.decoding, "opened", raises)
    assert thumbnails.thumbnail(jpeg(0)) is None


def test_a_picture_that_takes_too_long_has_no_thumbnail_and_a_report_waits_for_a_few_of_them_only():
    with closing(thumbnails.InTime(eval, 5)) as made:
        assert made(b"'in time'") == "in time"
        for _ in range(thumbnails.MOST_LATE):
            made._seconds = 0.2
            assert made(b"__import__('time').sleep(600)") is None
            made._seconds = 20
            assert made(b"'again'") == ("again" if made._late < thumbnails.MOST_LATE else None)
    assert made._process.pid is None


def test_a_picture_whose_decoder_is_killed_has_no_thumbnail_and_what_it_raises_is_raised():
    with closing(thumbnails.InTime(eval, 60)) as made:
        assert made(b"__import__('os').kill(__import__('os').getpid(), 9)") is None
        assert made(b"'again'") == "again"
        with pytest.raises(ZeroDivisionError):
            made(b"1 / 0")
        assert made(b"'the same process'") == "the same process"


@pytest.mark.timeout(120)
def test_a_process_that_does_not_take_a_picture_or_cannot_be_started_gives_no_thumbnail_and_holds_nobody_up(monkeypatch):
    with closing(thumbnails.InTime(len, 60)) as made:
        assert made(b"abc") == 3
        os.kill(made._process.pid, signal.SIGSTOP)
        made._seconds = 0.5
        assert made(bytes(20_000_000)) is None  # far more than a pipe holds
        with monkeypatch.context() as full:
            full.setattr(multiprocessing.get_context("spawn").Process, "start", refused)
            assert made(b"abc") is None
        made._seconds = 60
        assert made(b"abc") == 3


def refused(_):
    raise BlockingIOError(errno.EAGAIN, "no process is left")


def test_no_more_is_read_for_thumbnails_than_is_allowed_but_for_the_few_that_are_read_ahead(tmp_path, monkeypatch):
    paths = [put(tmp_path / f"{number}.jpg", jpeg(number)) for number in range(40)]
    asked, read = [], thumbnails.read
    monkeypatch.setattr(thumbnails, "read", lambda path: asked.append(path) or read(path))
    found = thumbnails.of(paths, max_bytes=1)
    assert [bool(one) for one in found] == [True, *[False] * 39]
    assert len(asked) <= 1 + thumbnails.READERS
    assert [bool(one) for one in thumbnails.of(paths[:20])] == [True] * 20


def test_the_map_is_made_without_a_word_where_nobody_tells_how_many_cores_there_are(monkeypatch, capfd, recwarn):
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    monkeypatch.setenv("PATH", "")  # lscpu, which joblib asks
    neighbours.arranged(np.random.default_rng(0).random((40, 5)))
    assert (capfd.readouterr().err, [str(warning.message) for warning in recwarn]) == ("", [])

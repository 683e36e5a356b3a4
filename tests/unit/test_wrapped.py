"""`fruitpipe model wrap`: another network as the extractor."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruitpipe import cli
from fruitpipe.errors import WrongModel, WrongUsage
from fruitpipe.extractor import build, wrapped
from fruitpipe.extractor.inference import ModelFile, fingerprint, network_for, pack_wrapped
from fruitpipe.pictures.decoding import decode
from fruitpipe.pictures.preprocessing import STANDARD, Preprocessing
from tests import networks, pictures

CAFFE = Preprocessing(32, 32, (103.0, 116.0, 123.0), (58.0, 57.0, 57.5))


@pytest.fixture
def wrap(tmp_path, capsys):
    """Wraps a flatbuffer with some flags; gives the exit code, what was printed, and the model file's path."""

    def run(flatbuffer, *flags):
        (tmp_path / "network.tflite").write_bytes(flatbuffer)
        with pytest.raises(SystemExit) as ended:
            cli.main(["model", "wrap", str(tmp_path / "network.tflite"), str(tmp_path / "out.tflite"), *flags])
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err, str(tmp_path / "out.tflite")

    return run


def test_a_network_is_not_replaced_by_its_model_file(tmp_path):
    """Such as that of the cache, which all roots without --model go on with."""
    network, link = tmp_path / "network.tflite", tmp_path / "link.tflite"
    network.write_bytes(networks.small())
    link.symlink_to(network)
    for path in (network, link):
        with pytest.raises(WrongUsage, match=f"{path} is the network itself, which stays as it is; give another path"):
            wrapped.wrap(str(network), str(path), [0], [1])
    assert network.read_bytes() == networks.small()


def test_a_wrapped_network_gives_its_own_vectors_of_pictures_prepared_as_it_was_told(wrap):
    code, printed, path = wrap(networks.small(), "--mean", "103,116,123", "--scale", "58,57,57.5")
    model, body = ModelFile.load(path), pictures.jpeg(3)
    assert code == 0
    assert printed.strip() == f"Model: {path} (0.0 MB, 8 features, fingerprint {fingerprint(model)})"
    picture = decode(body, model.preprocessing)
    plain = Image.open(io.BytesIO(body)).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
    prepared = (np.asarray(plain, np.float64) - CAFFE.mean) / CAFFE.scale
    np.testing.assert_allclose(picture.pixels, prepared, atol=1e-5)
    features = network_for(model)(picture.pixels)
    assert (features.shape, features.dtype) == ((8,), np.float32)
    np.testing.assert_allclose(features, networks.expected(prepared), rtol=1e-4)


def test_a_network_of_keras_is_wrapped_and_gives_what_keras_gives(wrap):
    pytest.importorskip("tensorflow", reason="needs tensorflow: the oracle has no package for Python 3.14")
    tensorflow = build.tensorflow()
    tensorflow.keras.utils.set_random_seed(0)
    build_network = tensorflow.keras.applications.MobileNetV3Small
    keras = build_network(weights=None, include_top=False, pooling="avg", input_shape=(96, 64, 3), include_preprocessing=False)
    converted = build._silently(tensorflow.lite.TFLiteConverter.from_keras_model(keras))
    code, printed, path = wrap(converted, "--mean", "127.5", "--scale", "127.5")
    assert (code, "576 features" in printed) == (0, True)
    model = ModelFile.load(path)
    pixels = decode(pictures.jpeg(3), model.preprocessing).pixels
    assert pixels.shape == (96, 64, 3)
    np.testing.assert_allclose(network_for(model)(pixels), keras(pixels[np.newaxis]).numpy()[0], rtol=1e-3, atol=1e-5)


def test_the_standard_preprocessing_gives_the_very_pixels_of_before():
    image = Image.open(io.BytesIO(pictures.jpeg(3))).convert("RGB")
    small = image.resize((224, 224), Image.Resampling.BICUBIC)
    before = np.asarray(small, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    np.testing.assert_array_equal(STANDARD(image), before)


def test_the_fingerprint_follows_network_and_preprocessing(wrap):
    one = ModelFile.load(wrap(networks.small(), "--mean", "0", "--scale", "255")[2])
    same = ModelFile.load(wrap(networks.small(), "--mean", "0,0,0", "--scale", "255,255,255", "--size", "32x32")[2])
    other_network = ModelFile.load(wrap(networks.small(seed=1), "--mean", "0", "--scale", "255")[2])
    other_mean = ModelFile.load(wrap(networks.small(), "--mean", "1", "--scale", "255")[2])
    prints = [fingerprint(model) for model in (one, same, other_network, other_mean)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert one.body == same.body


def test_files_that_a_tool_put_behind_the_network_are_left_off(wrap):
    file = io.BytesIO(networks.small())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("labels.txt", "apple\n")
    assert (
        ModelFile.load(wrap(file.getvalue(), "--mean", "0", "--scale", "255")[2]).body
        == ModelFile.load(wrap(networks.small(), "--mean", "0", "--scale", "255")[2]).body
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--mean", "1,2", "--scale", "255"), "--mean 1,2: give one number, or three with commas between"),
        (("--mean", "x", "--scale", "255"), "--mean x: give a number"),
        (("--mean", "nan", "--scale", "255"), "--mean nan: give one number"),
        (("--mean", "0", "--scale", "0"), "--scale 0: what values are divided by has to be above 0"),
        (
            ("--mean", "0", "--scale", "1e-46"),
            "--scale 1e-46,1e-46,1e-46: make NaN or infinite numbers of a picture",
        ),
        (("--mean", "0", "--scale", "255", "--size", "33"), "takes pictures of 32 x 32; leave it out"),
        (("--mean", "0", "--scale", "255", "--size", "axb"), "--size axb: give a number of pixels"),
    ],
)
def test_a_wrong_flag_gets_one_line(wrap, flags, message):
    code, printed, _ = wrap(networks.small(), *flags)
    assert (code, len(printed.splitlines())) == (2, 1)
    assert message in printed


@pytest.mark.parametrize("scale", ["255", "1e-30"])
def test_the_trial_run_is_of_a_picture_that_is_scaled_as_asked(monkeypatch, wrap, scale):
    """What only shows with the user's numbers, as an overflow in the network, is told before the file is written."""
    given = []
    monkeypatch.setattr(wrapped.Network, "__call__", lambda _, pixels: given.append(pixels) or np.full(8, np.nan, np.float32))
    monkeypatch.setattr(wrapped.Network, "output_shape", (1, 8))
    code, printed, path = wrap(networks.small(), "--mean", "0", "--scale", scale)
    assert (code, Path(path).exists()) == (1, False)
    assert "gives NaN or infinite features of a picture from black to white; check --mean and --scale" in printed
    assert given[0].shape == (32, 32, 3)
    assert given[0].max() * float(scale) > 200


@pytest.mark.parametrize(
    ("flatbuffer", "message"),
    [
        (b"no model at all", "15 bytes that are no LiteRT model"),
        (networks.small()[:200], "LiteRT does not load it"),
        (networks.small(pooled=False), r"its output has the shape (1, 16, 16, 8) and the type float32; expected one vector"),
    ],
    ids=["other bytes", "cut", "not pooled"],
)
def test_what_gives_no_vector_is_refused_in_one_line(wrap, flatbuffer, message):
    code, printed, _ = wrap(flatbuffer, "--mean", "0", "--scale", "255")
    assert (code, len(printed.splitlines())) == (1, 1)
    assert message in printed


def test_a_wrapped_file_whose_network_was_changed_is_refused():
    body = bytearray(pack_wrapped(networks.small(), CAFFE))
    body[300] ^= 1
    with pytest.raises(WrongModel, match=r"the SHA-256 of its flatbuffer is .* again with: fruitpipe model wrap MODEL\.tflite"):
        ModelFile.parse(bytes(body))


def test_a_label_without_what_the_network_is_given_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("fruitpipe.json", json.dumps({"extractor": "wrapped", "preprocessing": {"mean": [1]}}))
    with pytest.raises(WrongModel, match=r"without a readable fruitpipe\.json"):
        ModelFile.parse(file.getvalue())

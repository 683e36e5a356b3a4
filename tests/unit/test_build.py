"""The model file, and that what it computes is what Keras computes with the same weights."""

from unittest.mock import MagicMock

import numpy as np
import pytest

from fruitpipe.choices import Precision
from fruitpipe.errors import MissingRequirement, WrongModel
from fruitpipe.extractor import build, flatbuffer, mobilenet, weights
from fruitpipe.extractor.inference import WEIGHTS_SHA256, ModelFile, Network, fingerprint
from fruitpipe.pictures.decoding import decode
from tests import pictures


def pixels_of(seed):
    return decode(pictures.jpeg(seed)).pixels


@pytest.fixture(scope="module")
def tensorflow():
    pytest.importorskip("tensorflow", reason="needs tensorflow: the oracle has no package for Python 3.14")
    return build.tensorflow()


@pytest.fixture(scope="module")
def keras(tensorflow):  # noqa: ARG001 - only where it is there
    return build.keras_model(weights.obtain())


def test_the_layers_are_those_of_keras_in_its_order(keras):
    ours = [(name, shape) for layer in mobilenet.layers() for name, shape in named(layer)]
    theirs = [(layer.name, tuple(weight.shape)) for layer in keras.layers for weight in layer.weights]
    assert ours == theirs


def named(layer):
    kernel, *normalisation = layer.shapes
    return [(layer.name, kernel), *((layer.normalisation, shape) for shape in normalisation)]


def test_a_layer_folded_is_the_convolution_and_then_the_normalisation():
    layer = mobilenet.Layer("one", (1, 1, 5, 3))
    random = np.random.default_rng(1)
    kernel, gamma, beta, mean, variance = values = [random.uniform(0.5, 2, shape).astype(np.float32) for shape in layer.shapes]
    picture = random.standard_normal((4, 5))
    convolved = picture @ kernel[0, 0].astype(np.float64)
    expected = (convolved - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    folded, bias = layer.folded(values)
    np.testing.assert_allclose(picture @ folded[0, 0].astype(np.float64) + bias, expected, rtol=1e-5)


def test_the_flatbuffer_is_the_same_bytes_each_time():
    assert flatbuffer.of_mobilenet(weights.obtain()) == flatbuffer.of_mobilenet(weights.obtain())


def test_with_tensorflows_reciprocal_root_the_vectors_are_those_of_its_own_conversion_bit_for_bit(tensorflow, keras, monkeypatch):
    """What is left between the two is that root, which TensorFlow takes from an approximation of the processor's."""
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(keras)
    theirs = Network(build._silently(converter))

    def folded(layer, values):
        kernel, gamma, beta, mean, variance = values
        scale = tensorflow.math.rsqrt(tensorflow.constant(variance) + np.float32(mobilenet.EPSILON)).numpy() * gamma
        return kernel * (scale[:, np.newaxis] if layer.is_depthwise else scale), beta - mean * scale

    exact = Network(flatbuffer.of_mobilenet(weights.obtain()))
    monkeypatch.setattr(mobilenet.Layer, "folded", folded)
    ours = Network(flatbuffer.of_mobilenet(weights.obtain()))
    for seed in range(16):
        np.testing.assert_array_equal(ours(pixels_of(seed)), theirs(pixels_of(seed)))
        np.testing.assert_allclose(exact(pixels_of(seed)), theirs(pixels_of(seed)), atol=5e-5)


def test_what_is_built_is_said_with_its_place_size_and_fingerprint(monkeypatch, tmp_path, capsys):
    path = tmp_path / "models" / "model.tflite"
    monkeypatch.setattr(weights, "obtain", lambda: b"right")
    monkeypatch.setattr(weights, "digest", lambda _weights: WEIGHTS_SHA256)
    monkeypatch.setattr(flatbuffer, "of_mobilenet", lambda _weights: bytes(1_234_567))
    build.build(str(path))
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == f"Model: {path} (1.2 MB, fingerprint {fingerprint(ModelFile.load(str(path)))})"
    )


def test_nothing_is_written_where_the_weights_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("FRUITPIPE_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "_from_keras", lambda: b"wrong")
    with pytest.raises(WrongModel):
        build.build(str(tmp_path / "model.tflite"))
    assert not (tmp_path / "model.tflite").exists()


def test_int8_without_tensorflow_says_what_to_do_before_anything_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setitem(build.sys.modules, "tensorflow", None)
    monkeypatch.setattr(weights, "obtain", lambda: pytest.fail("nothing is to be fetched"))
    with pytest.raises(MissingRequirement, match=r"pip install 'fruitpipe\[int8\]' with Python 3\.11 to 3\.13"):
        build.build(str(tmp_path / "model.tflite"), Precision.int8)


def test_int8_is_calibrated_on_the_drawn_sample_which_is_the_same_each_time():
    one, other = build._drawn(), build._drawn()
    assert one == other
    assert len(one) == 240


def test_an_int8_model_that_lost_its_way_is_refused(monkeypatch):
    keras = MagicMock()
    keras.return_value.numpy.return_value = np.array([[0.0, 1.0]])
    monkeypatch.setattr(build, "tensorflow", MagicMock())
    monkeypatch.setattr(build, "keras_model", lambda _weights: keras)
    monkeypatch.setattr(build, "_silently", lambda _converter: b"flatbuffer")
    monkeypatch.setattr(build, "Network", lambda _flatbuffer: lambda _pixels: np.array([1.0, 0.0]))
    with pytest.raises(WrongModel, match=r"cosine to Keras is 0\.000, at least 0\.9"):
        build.quantised(b"")

"""The int8 extractor: near Keras in Python, and on the page what it is in Python."""

from __future__ import annotations

import numpy as np
import pytest

from fruitpipe.choices import Precision
from fruitpipe.extractor import build, weights
from fruitpipe.extractor.inference import WEIGHTS_SHA256, ModelFile, Network, pack
from fruitpipe.pictures import drawn
from fruitpipe.pictures.decoding import decode
from tests import pictures
from tests.apps import served, write
from tests.browsers import needs_chromium, opened
from tests.versions import publish_pictures


@pytest.fixture(scope="module")
def flatbuffer():
    pytest.importorskip("tensorflow", reason="needs tensorflow: the oracle has no package for Python 3.14")
    return build.quantised(weights.obtain())


def test_it_is_near_keras_on_pictures_it_was_not_calibrated_on(flatbuffer):
    int8, keras = Network(flatbuffer), build.keras_model(weights.obtain())
    for seed in range(8):
        pixels = decode(pictures.jpeg(seed)).pixels
        ours, theirs = int8(pixels), keras(pixels[np.newaxis]).numpy()[0]
        assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.9


@needs_chromium
def test_the_page_gives_its_bits_with_relaxed_simd_and_without(flatbuffer, browser, tmp_path):
    model = ModelFile.parse(pack(flatbuffer, WEIGHTS_SHA256, Precision.int8))
    drawn.draw(tmp_path / "images", labels=3, images_per_label=4)
    root, file = f"file://{tmp_path}/root", tmp_path / "int8.tflite"
    file.write_bytes(model.body)
    publish_pictures(root, sorted((tmp_path / "images").rglob("*.jpg")), model=model)
    write(root, tmp_path / "app", model=str(file))
    with served(tmp_path / "app") as address:
        for build_of_litert in ("relaxed", "compat"):
            with opened(browser, f"{address}/index.html?build={build_of_litert}") as found:
                assert found.settled() == "ready"
                assert (found.check["difference"], found.said) == (0, [])
                assert all(one["isSame"] for one in found.check["pictures"])

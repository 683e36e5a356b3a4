"""The model file and what it computes, against Keras and against a published vector."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruitpipe.errors import NotFound, WrongModel
from fruitpipe.extractor import build, weights
from fruitpipe.extractor.inference import WEIGHTS_SHA256, ModelFile, Network, fingerprint, network_for, pack
from fruitpipe.pictures import decoding
from fruitpipe.runtime import cache
from tests import pictures

SHARED = Path(os.environ.get("FRUITPIPE_SHARED") or Path(__file__).parents[3] / "shared" / "data")
GOLDEN = next((folder for folder in (SHARED / "golden", SHARED / "data" / "golden") if folder.is_dir()), SHARED / "golden")


@pytest.fixture(scope="module")
def model_file():
    path = cache.folder() / "mobilenetv2-1.0-224.tflite"
    if not path.is_file():
        pytest.skip(f"needs model-file: {path} is not there; `make test` builds it")
    return path


@pytest.fixture(scope="module")
def model(model_file):
    return ModelFile.load(str(model_file))


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("tensorflow", reason="needs tensorflow: the oracle has no package for Python 3.14")
    return build.keras_model(weights.obtain())


def drawn():
    return [pictures.jpeg(seed) for seed in range(64)]


def photographs():
    found = sorted(SHARED.glob("fruits-360/Training/*/*.jpg"))
    if not found:
        pytest.skip(f"needs fruits-360: {SHARED} does not hold it; FRUITPIPE_SHARED names the folder that does")
    return [path.read_bytes() for path in found[:: -(-len(found) // 64)]]


@pytest.mark.parametrize("bodies", [drawn, photographs])
def test_64_pictures_give_the_vectors_that_keras_gives(model, keras, bodies):
    batch = np.stack([decoding.decode(body).pixels for body in bodies()])
    ours = np.stack([Network(model.body)(pixels) for pixels in batch])
    assert np.abs(ours - keras.predict(batch, batch_size=16, verbose=0)).max() <= 1e-4


def test_the_published_vector_is_met(model):
    if not GOLDEN.is_dir():
        pytest.skip(f"needs golden: {GOLDEN} is not there; FRUITPIPE_SHARED names the folder that holds golden/")
    ours = network_for(model)(decoding.decode((GOLDEN / "Watermelon_r_109_100.jpg").read_bytes()).pixels)
    assert np.corrcoef(ours, np.load(GOLDEN / "Watermelon_r_109_100.npy").ravel())[0, 1] >= 0.96


def features_of(model, image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return network_for(model)(decoding.decode(buffer.getvalue()).pixels)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_a_cmyk_picture_gives_the_vector_of_its_rgb_twin(model):
    rgb = Image.open(io.BytesIO(pictures.jpeg(5))).convert("RGB")
    negative = Image.fromarray(255 - np.asarray(rgb))
    ours = features_of(model, rgb.convert("CMYK"), "JPEG", quality=95)
    assert cosine(ours, features_of(model, rgb, "JPEG", quality=95)) > 0.98
    assert cosine(ours, features_of(model, negative, "JPEG", quality=95)) < 0.98


def test_a_turned_phone_picture_gives_the_very_vector_of_the_upright_one(model):
    upright = Image.open(io.BytesIO(pictures.jpeg(5))).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = features_of(model, upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    np.testing.assert_array_equal(turned, features_of(model, upright, "PNG"))


def test_a_16_bit_ramp_gives_the_vector_of_its_8_bit_twin(model):
    ramp = np.linspace(0, 65535, 10000).astype(np.uint16).reshape(100, 100)
    narrow = Image.fromarray((ramp / 257).round().astype(np.uint8))
    assert cosine(features_of(model, Image.fromarray(ramp), "PNG"), features_of(model, narrow, "PNG")) > 0.99


def test_a_vector_does_not_depend_on_what_was_computed_before(model):
    first, second = (decoding.decode(pictures.jpeg(seed)).pixels for seed in (1, 2))
    extract = Network(model.body)
    once = extract(first)
    extract(second)
    np.testing.assert_array_equal(extract(first), once)
    assert (once.shape, once.dtype) == ((1280,), np.float32)


def test_one_process_keeps_one_network_for_a_model(model):
    assert network_for(pickle.loads(pickle.dumps(model))) is network_for(model)


def test_loading_the_model_says_nothing(model_file):
    code = f"from fruitpipe.extractor.inference import Network, ModelFile; Network(ModelFile.load({str(model_file)!r}).body)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (answer.stdout, answer.stderr) == ("", "")


def test_the_model_file_is_a_flatbuffer_and_an_archive_that_names_it(model):
    assert model.body[4:8] == b"TFL3"
    with zipfile.ZipFile(io.BytesIO(model.body)) as archive:
        assert archive.namelist() == ["fruitpipe.json"]
        assert WEIGHTS_SHA256.encode() in archive.read("fruitpipe.json")


def test_the_fingerprint_follows_preprocessing_and_decoder_but_not_the_files_bytes(model, monkeypatch):
    here = fingerprint(model)
    assert len(here) == 16
    assert fingerprint(ModelFile(model.body + b"x", model.weights_sha256)) == here
    assert fingerprint(ModelFile(model.body, "other")) != here
    monkeypatch.setattr(decoding, "decoder_version", lambda: "another")
    assert fingerprint(model) != here


def test_a_changed_byte_is_refused_with_both_digests(model):
    body = bytearray(model.body)
    body[5000] ^= 1
    with pytest.raises(WrongModel, match=r"flatbuffer is [0-9a-f]{64}, expected [0-9a-f]{64}.*fruitpipe model build"):
        ModelFile.parse(bytes(body))


def test_other_weights_are_refused():
    with pytest.raises(WrongModel, match=f"weights is {'0' * 64}, expected {WEIGHTS_SHA256}"):
        ModelFile.parse(pack(b"flatbuffer", "0" * 64))


@pytest.mark.parametrize("cut", [0, 100, -1, -30, -200])
def test_a_file_that_is_cut_is_no_model(model, cut):
    with pytest.raises(WrongModel):
        ModelFile.parse(model.body[:cut])


def test_a_text_file_is_no_model_and_its_name_and_size_are_told(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("<html>404</html>")
    with pytest.raises(WrongModel, match=r"model\.tflite: 16 bytes without a readable fruitpipe\.json.*fruitpipe model build"):
        ModelFile.load(str(path))


def test_a_label_that_is_damaged_anywhere_is_a_wrong_model_and_nothing_else():
    body = pack(b"flatbuffer", WEIGHTS_SHA256)
    for place in range(len(body)):
        for mask in (0x01, 0x08, 0xFF):
            damaged = body[:place] + bytes([body[place] ^ mask]) + body[place + 1 :]
            try:
                accepted = ModelFile.parse(damaged)
            except WrongModel:
                continue
            assert accepted.body[:10] == b"flatbuffer", "only a date or the like may be another"


def test_packing_the_same_flatbuffer_gives_the_same_bytes():
    assert pack(b"flatbuffer", WEIGHTS_SHA256) == pack(b"flatbuffer", WEIGHTS_SHA256)


def test_each_int8_model_is_an_extractor_of_its_own(model):
    int8, other = (ModelFile.parse(pack(flatbuffer, WEIGHTS_SHA256, "int8")) for flatbuffer in (b"one", b"other"))
    assert (int8.precision, model.precision) == ("int8", "float32")
    assert len({fingerprint(int8), fingerprint(other), fingerprint(model)}) == 3
    assert fingerprint(int8) == fingerprint(ModelFile.parse(pack(b"one", WEIGHTS_SHA256, "int8")))


def test_a_file_of_old_whose_label_names_no_precision_is_of_float32():
    file = io.BytesIO(b"flatbuffer")
    with zipfile.ZipFile(io.BytesIO(pack(b"flatbuffer", WEIGHTS_SHA256))) as new, zipfile.ZipFile(file, "a") as old:
        label = json.loads(new.read("fruitpipe.json"))
        assert label.pop("precision") == "float32"
        old.writestr("fruitpipe.json", json.dumps(label))
    assert fingerprint(ModelFile.parse(file.getvalue())) == fingerprint(ModelFile.parse(pack(b"flatbuffer", WEIGHTS_SHA256)))


def test_a_model_of_another_precision_than_asked_for_is_refused(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(pack(b"flatbuffer", WEIGHTS_SHA256, "int8"))
    assert ModelFile.load(str(path)).precision == ModelFile.load(str(path), "int8").precision == "int8"
    with pytest.raises(WrongModel, match=r"its precision is int8, expected float32; build it with: fruitpipe model build PATH"):
        ModelFile.load(str(path), "float32")
    with pytest.raises(NotFound, match=r"fruitpipe model build --extractor int8 .*none\.tflite"):
        ModelFile.load(str(tmp_path / "none.tflite"), "int8")


def test_a_missing_model_file_says_how_to_build_it(tmp_path):
    with pytest.raises(NotFound, match="fruitpipe model build"):
        ModelFile.load(str(tmp_path / "none.tflite"))

"""What `fruitpipe app` writes, without a browser and without a network."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fruitpipe.app import classifier_file, golden, litert, shell
from fruitpipe.errors import MissingRequirement
from fruitpipe.extractor.inference import ModelFile, network_for
from fruitpipe.pictures.decoding import decode
from fruitpipe.refit import publication
from fruitpipe.runtime import npm
from fruitpipe.settings import default_model
from tests.apps import LABELS, contract_of, write
from tests.commands import CHECKOUT
from tests.oracle import vector_of
from tests.versions import publish_pictures

RUNTIME = {"index.js": b"1", "litert_wasm_internal.wasm": b"22", "litert_wasm_compat_internal.wasm": b"333"}


def test_the_contract_names_each_file_with_its_size_and_hash(whole):
    place, written = whole
    inside = place / written.app.folder
    told = {one["file"]: (one["bytes"], one["sha256"]) for one in contract_of(place, written)["files"]}
    found = {str(path.relative_to(inside)): path.read_bytes() for path in inside.rglob("*") if path.is_file()}
    digest = hashlib.sha256(found.pop("contract.json")).hexdigest()
    assert told == {name: (len(body), hashlib.sha256(body).hexdigest()) for name, body in found.items()}
    assert written.app.folder == f"v000001-{digest[:16]}"
    assert written.bytes == sum(map(len, found.values()))
    assert written.fetched == written.bytes - 3


def test_the_golden_pictures_have_the_vectors_and_labels_of_the_product(whole, published):
    (place, written), root = whole, f"file://{published}/root"
    inside, contract = place / written.app.folder, contract_of(place, written)
    bodies = [(inside / "golden" / one["file"]).read_bytes() for one in contract["golden"]]
    network = network_for(ModelFile.load(default_model()))
    expected = np.stack([network(decode(body, in_full=True).pixels) for body in bodies])
    found = np.frombuffer((inside / "golden" / "vectors.bin").read_bytes(), "<f4").reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)
    answers = publication.load_classifier(root).identify(expected)
    assert [(one["label"], one["is_known"]) for one in contract["golden"]] == [(one.label, one.is_known) for one in answers]
    others = {one["file"]: vector_of(body) for one, body in zip(contract["golden"], bodies, strict=True)}
    for one, vector in zip(contract["golden"], expected, strict=True):
        cosine = vector @ others[one["file"]] / np.linalg.norm(vector) / np.linalg.norm(others[one["file"]])
        assert cosine == pytest.approx(one.get("scaled", 1), abs=1e-6)
    assert [one["file"] for one in contract["golden"] if "scaled" in one] == ["large.jpg", "large-progressive.jpg"]
    assert contract["tolerances"]["difference"] == pytest.approx(1e-4 * expected.max())


def test_the_golden_pictures_are_of_all_kinds_and_always_the_same():
    found = golden.pictures()
    kinds = {re.match("[a-z]+", one.name)[0] for one in found}
    assert len(found) == 40
    assert {"progressive", "grey", "cmyk", "turned", "transparent", "palette", "lossless", "lossy", "tall", "large"} <= kinds
    assert {one.name.rpartition(".")[2] for one in found} == {"jpg", "png", "webp", "gif", "bmp"}
    assert found == golden.pictures()


def test_what_a_page_reads_of_the_classifier_gives_the_same_answers(whole, published):
    """By the numbers alone, as the file's own words describe them."""
    (place, written), classifier = whole, publication.load_classifier(f"file://{published}/root")
    inside = place / written.app.folder
    words = json.loads((inside / "classifier.json").read_bytes())
    numbers = np.frombuffer((inside / "classifier.bin").read_bytes(), "<f4").astype(np.float64)
    d, q, labels = words["features"], len(words["varying"]), len(words["labels"])
    mean, triangle, centres = np.split(numbers, [d, d + q * (q + 1) // 2])
    whitening, start = np.zeros((q, q)), 0
    for column in range(q):
        whitening[: column + 1, column] = triangle[start : start + column + 1]
        start += column + 1
    features = np.random.default_rng(0).uniform(0, 2, (20, d)).astype(np.float32)
    points = (features - mean)[:, words["varying"]] @ whitening
    distances = ((points[:, np.newaxis] - centres.reshape(labels, q)) ** 2).sum(axis=2)
    scores = (np.log(np.array(words["counts"]) / sum(words["counts"])) - distances / 2) / words["temperature"]
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(shares / shares.sum(axis=1, keepdims=True), classifier.predict_proba(features), atol=1e-4)
    np.testing.assert_allclose(distances.min(axis=1) / (points**2).sum(axis=1), classifier.novelty(features), rtol=1e-4)
    assert words["most_novel"] == classifier.calibration.most_novel


def test_constant_columns_are_left_out_of_the_numbers(published):
    fitted = publication.load_classifier(f"file://{published}/root")
    varying = len(classifier_file.words(fitted)["varying"])
    assert varying == fitted.discriminant.whitening.shape[1] < len(fitted.discriminant.mean)
    floats = len(fitted.discriminant.mean) + varying * (varying + 1) // 2 + LABELS * varying
    assert len(classifier_file.numbers(fitted)) == 4 * floats


def test_no_picture_of_a_user_and_no_name_of_one_lies_in_the_folder(whole, published):
    place, _ = whole
    pictures = {path.read_bytes() for path in (published / "images").rglob("*.jpg")}
    bodies = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert not [path for path, body in bodies.items() if any(picture in body for picture in pictures)]
    assert not [path for path, body in bodies.items() if str(published).encode() in body]


def test_no_bare_name_of_a_file_lies_in_the_folder(root, place, tmp_path):
    for number, path in enumerate(sorted((tmp_path / "images").rglob("*.jpg"))):
        path.rename(path.with_name(f"holiday-{number}.jpg"))
    publish_pictures(root, sorted((tmp_path / "images").rglob("*.jpg")))
    assert write(root, place).app.version == "v000002"
    assert not [path for path in place.rglob("*") if path.is_file() and b"holiday" in path.read_bytes()]


def test_the_page_asks_for_nothing_from_elsewhere_and_runs_no_script_in_line(root, place):
    written = write(root, place, title="Obst & <Gemüse>")
    page = (place / "index.html").read_text()
    assert "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" in page
    assert "Obst &amp; &lt;Gemüse&gt;" in page
    assert f'src="{written.app.folder}/page.js"' in page
    assert "{" not in page
    assert re.findall(r"<script[^>]*>[^<]", page) == []
    assert f'const FOLDER = "{written.app.folder}"' in (place / "sw.js").read_text()
    shown = [page, *(one.read_text() for one in (CHECKOUT / "fruitpipe/app/page").iterdir())]
    assert not [text for text in shown if "http://" in text or "https://" in text or "style=" in text]
    manifest = json.loads((place / "manifest.json").read_bytes())
    assert manifest["name"] == "Obst & <Gemüse>"
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    assert all((place / icon["src"]).is_file() for icon in manifest["icons"])


def test_page_and_worker_hold_the_same_digits_which_change_with_the_title_alone():
    one, same, other = (shell.files("v000001-0", title, ["v000001"]) for title in ("Fruits!", "Fruits!", "Obst"))
    digits = [re.search(r'SHELL_DIGITS = "([0-9a-f]{16})"', found["sw.js"].decode())[1] for found in (one, same, other)]
    assert digits[0] == digits[1] != digits[2]
    assert f'data-shell="{digits[0]}"'.encode() in one["index.html"]
    assert b'const PUBLISHED = ["v000001"];' in one["sw.js"]


def test_the_package_is_refused_where_it_is_not_as_it_is_rewritten():
    module = "\n".join(litert.REWRITTEN)
    changed, *lines = litert._rewritten(module.encode()).decode().splitlines()
    assert lines[:2] == list(litert.REWRITTEN.values())[:2]
    assert changed == "// Changed for the app of fruitpipe. The license is in LICENSE.txt."
    with pytest.raises(MissingRequirement, match="2 times, expected once"):
        litert._rewritten(f"{module}\n{module}".encode())


def test_the_license_goes_with_the_code_that_it_is_of(monkeypatch):
    module = "\n".join(litert.REWRITTEN).encode()
    monkeypatch.setattr(npm, "members", lambda _, names: dict.fromkeys(names, module))
    found = litert.files()
    assert b"Apache License" in found["LICENSE.txt"]
    assert found["wasm-utils.js"].startswith(b"// Changed for the app of fruitpipe.")


def test_each_file_of_the_page_is_in_the_wheel_and_short():
    sources = sorted(Path(CHECKOUT, "fruitpipe/app/page").iterdir())
    assert {one.suffix for one in sources} == {".js", ".css", ".html"}
    assert set(shell.NAMES) - {one.name for one in sources} == {"manifest.json", *shell.ICONS}
    assert max(len(one.read_text().splitlines()) for one in sources) <= 260

"""The app as a person meets it: in Chromium, from a plain web server, then without a network."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from fruitpipe import objects
from fruitpipe.app import classifier_file, golden
from fruitpipe.classifier.calibration import Calibration
from fruitpipe.classifier.classifier import Classifier
from fruitpipe.classifier.discriminant import Discriminant
from fruitpipe.identification.identifier import Identifier
from fruitpipe.settings import default_model
from tests import networks
from tests.apps import served, write
from tests.browsers import needs_chromium, opened
from tests.versions import publish_pictures

pytestmark = needs_chromium
LEAST_COSINE = 0.999
ASK = "await page.identifier.identify(new Blob([new Uint8Array(given)]))"
UNKNOWN = "I don\u2019t know this one"


def test_all_golden_pictures_have_the_vectors_of_python_to_the_last_bit(shown):
    found = shown.check
    assert len(found["pictures"]) == 40
    assert [one["file"] for one in found["pictures"] if one["difference"] != 0] == []
    assert [one["file"] for one in found["pictures"] if not one["isSame"]] == []
    assert found["difference"] == 0
    large = {one["file"]: one["scaled"] for one in shown.inside("page.contract.golden") if "scaled" in one}
    assert set(large) == {"large.jpg", "large-progressive.jpg"}
    assert min(large.values()) >= LEAST_COSINE
    assert "40 pictures give the server" in shown.page.locator("#checked").inner_text()


def test_without_a_network_the_page_loads_again_and_names_pictures_as_fruitpipe_identify_does(shown, made, tmp_path):
    folder, _, asked = made
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)).save(noise)
    shown.page.reload()
    assert shown.settled() == "ready"
    assert shown.page.locator("#kept").inner_text().startswith("Works without a network")
    paths = [*asked, noise]
    expected = list(Identifier.of(f"file://{folder}/root", default_model()).identify([objects.canonical(str(p)) for p in paths]))
    for path, found in zip(paths, expected, strict=True):
        label = shown.named(path)
        assert label == (found.answer.label if found.answer.is_known else UNKNOWN)
        if found.answer.is_known:
            assert shown.page.locator("#share").inner_text() == f"{100 * found.answer.probability:.1f}%".replace(".0%", "%")
    assert not expected[-1].answer.is_known


def test_answers_have_the_numbers_of_fruitpipe_identify(shown, made):
    folder, _, asked = made
    identifier = Identifier.of(f"file://{folder}/root", default_model())
    for path in asked:
        (found,) = identifier.identify([f"file://{path}"])
        body = list(path.read_bytes())
        answer = shown.inside(ASK, body)
        np.testing.assert_array_equal(np.array(answer["features"], np.float32), identifier._features(f"file://{path}"))
        assert answer["probability"] == pytest.approx(found.answer.probability, abs=1e-4)
        assert answer["novelty"] == pytest.approx(found.answer.novelty, rel=1e-4)
        assert (answer["label"], answer["runnerUp"]) == (found.answer.label, found.answer.runner_up)


SIZES = [
    (1, 1),
    (3, 700),
    (700, 3),
    (100, 301),
    (100, 223),
    (224, 224),
    (224, 500),
    (260, 296),
    (260, 297),
    (500, 776),
    (500, 777),
    (640, 480),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_resizing_gives_the_pixels_of_pillow(shown, size):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    found = shown.page.evaluate(
        """async ([source, body]) => {
          const { resized } = await import(new URL("decode.js", source));
          return Array.from(await resized(await createImageBitmap(new Blob([new Uint8Array(body)])), 224, 224));
        }""",
        [shown.page.evaluate("document.querySelector('script').src"), list(buffer.getvalue())],
    )
    expected = np.asarray(picture.resize((224, 224), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(np.array(found, np.uint8).reshape(224, 224, 3), expected)


def test_both_languages_say_everything_and_the_choice_is_kept(shown):
    source = shown.page.evaluate("document.querySelector('script').src")
    texts = shown.page.evaluate("async source => (await import(new URL('texts.js', source))).TEXTS", source)
    assert set(texts["fr"]) == set(texts["en"])
    for name, text in texts["en"].items():
        assert set(re.findall(r"{\w+}", texts["fr"][name])) == set(re.findall(r"{\w+}", text)), name
    shown.page.get_by_role("button", name="Français").click()
    assert shown.page.locator("html").get_attribute("lang") == "fr"
    assert "Choisir une photo" in shown.page.locator("main").inner_text()
    shown.page.reload()
    assert shown.settled() == "ready"
    assert "Fonctionne sans réseau" in shown.page.locator("main").inner_text()
    shown.page.get_by_role("button", name="English").click()
    assert "Choose a picture" in shown.page.locator("main").inner_text()


def test_the_browser_has_nothing_against_installing_it(shown):
    asked = shown.context.new_cdp_session(shown.page)
    assert asked.send("Page.getAppManifest")["errors"] == []
    assert [one["errorId"] for one in asked.send("Page.getInstallabilityErrors")["installabilityErrors"]] in (
        [],
        ["in-incognito"],
    )


def test_what_is_no_picture_is_told_and_the_next_one_is_named(shown, tmp_path, made):
    text = tmp_path / "note.jpg"
    text.write_text("no picture")
    assert shown.named(text).startswith("This browser cannot read this file as a picture")
    assert shown.named(made[2][0]) == made[2][0].parent.name


@pytest.mark.parametrize("size", [(390, 844), (1280, 900)], ids=["phone", "desktop"])
def test_nothing_is_wider_than_the_screen(shown, made, size):
    shown.named(made[2][0])
    shown.page.set_viewport_size({"width": size[0], "height": size[1]})
    shown.page.locator("summary").click()
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    shown.page.locator("summary").click()


def test_without_relaxed_simd_vectors_differ_by_less_than_a_ten_thousandth(browser, address):
    with opened(browser, f"{address}/index.html?build=compat") as found:
        assert found.settled() == "ready"
        assert 0 < found.check["difference"] <= 1e-4
        assert all(one["isSame"] for one in found.check["pictures"])
        assert found.said == []


def test_another_network_of_any_size_and_batch_is_run_as_python_runs_it(browser, made, tmp_path):
    """48 x 48 pixels, 8 features."""
    root, file = f"file://{tmp_path}/root", tmp_path / "network.tflite"
    model = networks.for_apps()
    file.write_bytes(model.body)
    publish_pictures(root, [path for path in sorted((made[0] / "images").rglob("*.jpg")) if path not in made[2]], model=model)
    write(root, tmp_path / "app", model=str(file))
    with served(tmp_path / "app") as address, opened(browser, f"{address}/index.html") as found:
        assert found.settled() == "ready"
        assert found.check["difference"] <= found.inside("page.contract.tolerances.difference")
        (expected,) = Identifier.of(root, str(file)).identify([f"file://{made[2][1]}"])
        shown = found.inside(ASK, list(made[2][1].read_bytes()))
        assert shown["label"] == expected.answer.label
        assert shown["probability"] == pytest.approx(expected.answer.probability, abs=1e-4)
        assert found.said == []


def test_a_browser_whose_storage_is_shut_names_pictures(browser, made, address):
    with opened(browser, "about:blank") as found:
        found.context.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('shut'); } })")
        found.page.goto(f"{address}/index.html")
        assert found.settled() == "ready"
        found.page.get_by_role("button", name="Français").click()
        assert found.page.locator("html").get_attribute("lang") == "fr"
        assert found.named(made[2][0]) == made[2][0].parent.name
        assert found.said == []


def test_of_two_labels_that_are_as_likely_the_same_one_is_named_as_in_python(shown):
    """Three centres that coincide, at a point that is not the mean."""
    ones = np.ones(2)
    fitted = Discriminant(("a", "b", "c"), np.full(3, 2), np.zeros(2), np.eye(2), np.tile(ones, (3, 1)), 0.1, 0.1)
    named = Classifier(fitted, Calibration(1.0, 1.0))
    (expected,) = named.identify(2 * ones[np.newaxis])
    found = shown.page.evaluate(
        """async ([source, words, numbers]) => {
          const { Classifier } = await import(new URL("classify.js", source));
          return new Classifier(words, new Float32Array(numbers)).identify([2, 2]);
        }""",
        [
            shown.page.evaluate("document.querySelector('script').src"),
            classifier_file.words(named),
            np.frombuffer(classifier_file.numbers(named), "<f4").tolist(),
        ],
    )
    assert (found["label"], found["runnerUp"]) == (expected.label, expected.runner_up) == ("c", "b")


def test_headers_tell_the_size_of_pictures_of_all_kinds(shown):
    more = []
    for kind in ("AVIF", "WEBP"):
        buffer = io.BytesIO()
        Image.new("RGB", (301, 203)).save(buffer, kind)
        more.append(buffer.getvalue())
    bodies = [*(one.body for one in golden.pictures()), *more]
    found = shown.page.evaluate(
        """async ([source, bodies]) => {
          const { sizeOf } = await import(new URL("size.js", source));
          return bodies.map((body) => sizeOf(Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0))));
        }""",
        [
            shown.page.evaluate("document.querySelector('script').src"),
            [base64.b64encode(body).decode() for body in bodies],
        ],
    )
    expected = []
    for body in bodies:
        with Image.open(io.BytesIO(body)) as picture:
            expected.append(list(picture.size))
    assert found == expected


def test_a_picture_with_too_many_pixels_is_not_decoded(shown):
    """A small PNG that unpacks to 324 MB."""
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    why = shown.page.evaluate(
        """async ([source, body]) => {
          const { decoded } = await import(new URL("decode.js", source));
          const decoder = window.createImageBitmap;
          window.createImageBitmap = () => { throw new Error("decoded"); };
          try {
            const file = new Blob([Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0))]);
            return await decoded(file, { bytes: 1e9, pixels: 2 ** 26 });
          } catch (error) {
            return error.reason;
          } finally {
            window.createImageBitmap = decoder;
          }
        }""",
        [shown.page.evaluate("document.querySelector('script').src"), base64.b64encode(buffer.getvalue()).decode()],
    )
    assert why == "pixels"

"""The app in Chromium beside `fruitpipe identify`: vectors, labels, images/s, sizes by part, and screenshots to look at.

    python benchmarks/page.py [--photographs DIR] [--screenshots DIR] [--count 20]

Every second photograph of each label makes the version, and the others are asked about (without photographs drawn fruits do for
both). Asked are some as they are (100 x 100), some enlarged to 1920 x 1080 on white with a sensor's noise, and drawn scenes of 12
megapixels, plain and in Display P3, which Python decodes at a fraction of their size and the page in full. After the first load
the network is off.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from benchmarks import scenes
from benchmarks.features import PHOTOGRAPHS
from fruitpipe.app import litert
from fruitpipe.identification.identifier import Identifier
from fruitpipe.pictures import drawn
from fruitpipe.settings import default_model
from tests.apps import served, write
from tests.browsers import CHROMIUM, Opened, opened
from tests.versions import publish_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_HD, CAMERA = (1920, 1080), (4000, 3000)
LARGE = 4  # scenes of 12 megapixels, of each kind
SCREENS = {"phone": (390, 844), "desktop": (1280, 900)}
PARTS = {".tflite": "model", ".wasm": "LiteRT", "classifier": "classifier", "golden": "golden pictures"}
ASK = """async ([source, body]) => {
  const { page } = await import(source);
  const began = performance.now();
  const bytes = Uint8Array.from(atob(body), (one) => one.charCodeAt(0));
  const decodedAt = performance.now();
  const { features, ...answer } = await page.identifier.identify(new Blob([bytes]));
  return { ...answer, features: Array.from(features), ms: performance.now() - decodedAt };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--screenshots", type=Path)
    parser.add_argument("--count", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        root, left_out = published(given.photographs, folder)
        write(root, folder / "app")
        sizes(folder / "app")
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        address = stack.enter_context(served(folder / "app"))
        for build in ("relaxed", "compat"):
            with opened(browser, f"{address}/index.html?build={build}") as page:
                golden(build, page)
                page.context.set_offline(True)  # all that follows is named without a network
                page.page.reload()
                print(f"{build}: network off, page loaded again: {page.settled()}")
                compared(build, page, root, asked(left_out, folder / "asked", given.count))
        if given.screenshots:
            screenshots(browser, f"{address}/index.html", given.screenshots, left_out[0])
        browser.close()


def published(photographs: Path, folder: Path) -> tuple[str, list[Path]]:
    """A root with a version of every second picture of each label, and the others, one label after the other."""
    if not photographs.is_dir():
        photographs = folder / "drawn"
        drawn.draw(photographs, images_per_label=20)
    of_label = defaultdict(list)
    for path in sorted(photographs.rglob("*.jpg")):
        of_label[path.parent.name].append(path)
    began, root = time.monotonic(), f"file://{folder}/root"
    publish_pictures(root, [path for paths in of_label.values() for path in paths[::2]])
    print(f"{len(of_label)} labels, {sum(map(len, of_label.values()))} pictures, {time.monotonic() - began:.0f} s")
    left_out = [path for paths in of_label.values() for path in paths[1::2]]
    return root, [left_out[place] for place in np.linspace(0, len(left_out) - 1, 200).astype(int)]


def sizes(place: Path) -> None:
    """Bytes by part, as they are and compressed, of what a browser with relaxed SIMD fetches and of the rest."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file in sorted(path for path in place.rglob("*") if path.is_file()):
        name = str(file.relative_to(place))
        part = next((part for mark, part in PARTS.items() if mark in name), "page and runtime's scripts")
        if litert.build_of(name) == "compat":
            part = "LiteRT without relaxed SIMD"
        body = file.read_bytes()
        for at, size in enumerate((len(body), len(compressed(body)))):
            totals[part][at] += size
            totals["all"][at] += size
    for part, (plain, small) in sorted(totals.items(), key=lambda one: one[1][1]):
        print(f"{part:32} {plain / 1e6:7.2f} MB {small / 1e6:7.2f} compressed")


def compressed(body: bytes) -> bytes:
    """By Brotli where there is node, at the quality that web servers answer with; else by gzip."""
    if not shutil.which("node"):
        return gzip.compress(body)
    script = (
        "const {brotliCompressSync, constants} = require('zlib'), params = {[constants.BROTLI_PARAM_QUALITY]: 5};"
        "process.stdout.write(brotliCompressSync(require('fs').readFileSync(0), {params}))"
    )
    return subprocess.run(["node", "-e", script], input=body, capture_output=True, check=True).stdout


def golden(build: str, page: Opened) -> None:
    began = time.monotonic()
    state, found = page.settled(), page.check
    seconds = time.monotonic() - began
    pictures = found["pictures"]
    same = sum(one["isSame"] for one in pictures)
    print(
        f"{build}: {state} after {seconds:.1f} s; worst difference {found['difference']:.2g} over {len(pictures)} golden "
        f"pictures; {same} of {len(pictures)} the same answer"
    )
    elsewhere = [url for url in page.asked if "//127.0.0.1" not in url]
    print(f"{build}: console lines {page.said}; requests elsewhere {elsewhere}")


def asked(left_out: list[Path], folder: Path, count: int) -> Iterator[tuple[str, list[Path]]]:
    step = max(1, len(left_out) // count)
    chosen = left_out[::step][:count]
    yield "100 x 100", chosen
    large = folder / "1920x1080"
    large.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(chosen):
        enlarged(path, number).save(large / f"{number}.jpg", "JPEG", quality=90)
    yield "1920 x 1080", sorted(large.glob("*.jpg"))
    for name, is_p3 in (("12 megapixels", False), ("12 megapixels, Display P3", True)):
        scenes.draw(folder / name, CAMERA, LARGE, is_p3=is_p3)
        yield name, sorted((folder / name).rglob("*.jpg"))


def enlarged(path: Path, number: int) -> Image.Image:
    """A photograph of 100 x 100 on one of 1920 x 1080, with noise, so that no two neighbours are alike."""
    ground = Image.new("RGB", FULL_HD, "white")
    side = FULL_HD[1]
    with Image.open(path) as picture:
        ground.paste(picture.resize((side, side), Image.Resampling.BICUBIC), ((FULL_HD[0] - side) // 2, 0))
    noise = np.random.default_rng(number).normal(0, 2, (side, FULL_HD[0], 1))
    return Image.fromarray(np.clip(np.asarray(ground) + noise, 0, 255).astype(np.uint8))


def compared(build: str, page: Opened, root: str, kinds: Iterator[tuple[str, list[Path]]]) -> None:
    identifier = Identifier.of(root, default_model())
    source = page.page.evaluate("document.querySelector('script').src")
    for name, paths in kinds:
        expected = list(identifier.identify([f"file://{path}" for path in paths]))
        vectors = np.stack([identifier._features(f"file://{path}") for path in paths])  # noqa: SLF001 - beside the answers
        answers = [page.page.evaluate(ASK, [source, base64.b64encode(path.read_bytes()).decode()]) for path in paths]
        found = np.array([answer["features"] for answer in answers], np.float32)
        same = sum(_is_same(answer, one.answer) for answer, one in zip(answers, expected, strict=True))
        known = sum(bool(one.answer and one.answer.is_known) for one in expected)
        cosines = (found * vectors).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(vectors, axis=1)
        pairs = [(answer["probability"], one.answer) for answer, one in zip(answers, expected, strict=True)]
        apart = max(abs(share - one.probability) for share, one in pairs if one)
        print(
            f"{build}, {name}: {same} of {len(paths)} the same answer ({known} known), worst difference "
            f"{np.abs(found - vectors).max():.2g}, cosine at least {cosines.min():.5f}, probabilities within {apart:.1g}; "
            f"{1000 / np.median([answer['ms'] for answer in answers]):.1f} images/s"
        )


def _is_same(answer: dict[str, Any], expected: Any) -> bool:
    return bool((answer["label"], answer["isKnown"]) == (expected.label, expected.is_known))


def screenshots(browser: Any, address: str, folder: Path, picture: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    strange = io.BytesIO()
    scenes.scene("Lemon", 1, (900, 700)).save(strange, "JPEG")
    for screen, (width, height) in SCREENS.items():
        for scheme, locale in (("light", "en-GB"), ("dark", "fr-FR")):
            touch = {"has_touch": True, "is_mobile": True} if screen == "phone" else {}
            options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "locale": locale, **touch}
            with opened(browser, address, **options) as page:
                page.page.wait_for_selector("#busy:not([hidden])", state="attached")
                page.page.screenshot(path=folder / f"{screen}-{scheme}-starting.png")
                page.settled()
                page.page.screenshot(path=folder / f"{screen}-{scheme}-ready.png", full_page=True)
                page.named(picture)
                page.page.screenshot(path=folder / f"{screen}-{scheme}-named.png", full_page=True)
                page.page.locator("#file").set_input_files(
                    {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": strange.getvalue()}
                )
                page.page.wait_for_selector("html[data-state=ready] .unknown")
                page.page.locator("summary").click()
                page.page.screenshot(path=folder / f"{screen}-{scheme}-unknown.png", full_page=True)


if __name__ == "__main__":
    main()

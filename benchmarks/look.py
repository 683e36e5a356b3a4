"""`fruitpipe duplicates` and `fruitpipe outliers` on the photographs: what they find of what was planted; and their time.

    python benchmarks/look.py [--photographs DIR] [--nth 7,1]
    python benchmarks/look.py --rows 20000

Planted are a copy of every 5th photograph (changed as CHANGES has it, in turn), one of every 10th (turned as TURNS has it), and
every 20th photograph under another label.
The photographs are views of fruits on a turntable. With all of them the next view is hard to tell from a copy; every 7th
are as far apart as photographs are. With --rows both commands' work on so many rows is timed: vectors with noise, as
`features.noisy`, and links to the photographs, each of which is read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import combinations, cycle
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, ImageEnhance

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is not installed

from benchmarks.features import PHOTOGRAPHS, base, noisy
from fruitpipe.cli.curate import DIFFERENCE, NEIGHBOURS
from fruitpipe.curation import duplicates, outliers, points
from fruitpipe.curation.duplicates import COMPARED
from fruitpipe.reduction.nearest import nearest_others
from fruitpipe.refit import publication
from tests.versions import publish_features, publish_pictures

if TYPE_CHECKING:
    from collections.abc import Callable

    from fruitpipe.curation.points import Points

Changes: TypeAlias = "dict[str, tuple[int, Callable[[Image.Image], Image.Image]]]"
CHANGES: Changes = {  # quality of the JPEG, and what else
    "quality 75": (75, lambda image: image),
    "quality 50": (50, lambda image: image),
    "half the size": (90, lambda image: image.resize((image.width // 2, image.height // 2))),
    "0.8 of the size": (90, lambda image: image.resize((image.width * 4 // 5, image.height * 4 // 5))),
    "twice the size": (90, lambda image: image.resize((image.width * 2, image.height * 2))),
    "cropped by 2 %": (90, lambda image: image.crop((2, 2, image.width - 2, image.height - 2))),
    "cropped by 5 %": (90, lambda image: image.crop((5, 5, image.width - 5, image.height - 5))),
    "lighter by 10 %": (90, lambda image: ImageEnhance.Brightness(image).enhance(1.1)),
    "darker by 15 %": (90, lambda image: ImageEnhance.Brightness(image).enhance(0.85)),
}
TURNS: Changes = {
    "turned by 90°": (90, lambda image: image.transpose(Image.Transpose.ROTATE_90)),
    "turned by 180°": (90, lambda image: image.transpose(Image.Transpose.ROTATE_180)),
    "turned by 270°": (90, lambda image: image.transpose(Image.Transpose.ROTATE_270)),
    "mirrored": (90, lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "mirrored and turned, half the size, quality 50": (
        50,
        lambda image: image.transpose(Image.Transpose.TRANSPOSE).resize((image.height // 2, image.width // 2)),
    ),
}


def find_duplicates(photographs: list[Path], work: Path) -> None:
    turned = planted_copies(photographs[2::10], TURNS, work / "copies")
    planted = planted_copies(photographs[::5], CHANGES, work / "copies") | turned
    root = f"file://{work}/duplicates"
    publish_pictures(root, [*photographs, *sorted((work / "copies").rglob("*.jpg"))])
    images = points.read(root)
    candidates(root, images, planted)
    print(
        f"\n| difference at most | of {len(planted) - len(turned)} copies found | of {len(turned)} turned ones "
        "| pairs in groups that are copies | or views of one fruit | of two labels |\n|---|---|---|---|---|---|"
    )
    by_bound = {}
    for most in (DIFFERENCE / 2, DIFFERENCE, DIFFERENCE * 1.5, DIFFERENCE * 2):
        found = {pair for group in duplicates.find(images, most).groups for pair in combinations(group.images, 2)}
        two_labels = sum(one.label != other.label for one, other in found)
        right = [(one.path, other.path) for one, other in found if are_one(planted, one.path, other.path)]
        by_bound[most] = {path for pair in right for path in pair if path in planted}
        shares = [np.mean([copy in by_bound[most] for copy in planted if (copy in turned) == given]) for given in (False, True)]
        print(f"| {most:.3f} | {shares[0]:.3f} | {shares[1]:.3f} | {len(right) / len(found):.3f} of {len(found)} | "
              f"{1 - two_labels / len(found):.3f} | {two_labels} |")  # fmt: skip
    changes = [*CHANGES, *TURNS]
    told = ((change, [copy in by_bound[DIFFERENCE] for copy, (_, one) in planted.items() if one == change]) for change in changes)
    print(f"\nfound at {DIFFERENCE}: " + ", ".join(f"{change} {np.mean(are_found):.2f}" for change, are_found in told))


def planted_copies(photographs: list[Path], changes: Changes, folder: Path) -> dict[str, tuple[str, str]]:
    """By the URI of each copy that is written the original's, and the change."""
    planted = {}
    for number, (original, change) in enumerate(zip(photographs, cycle(changes))):
        copy = folder / original.parent.name / f"{number:04}-{original.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        quality, changed = changes[change]
        changed(Image.open(original).convert("RGB")).save(copy, quality=quality)
        planted[f"file://{copy}"] = (f"file://{original}", change)
    return planted


def are_one(planted: dict[str, tuple[str, str]], one: str, other: str) -> bool:
    return planted.get(one, ("",))[0] == other or planted.get(other, ("",))[0] == one


def candidates(root: str, images: Points, planted: dict[str, tuple[str, str]]) -> None:
    """How often a copy and its original are among each other's nearest, by the space in which distances are taken."""
    reduced, variances = reduced_of(root, images)
    spaces = {
        "reduced features": reduced,
        "at variance 1 (whitened)": reduced / np.sqrt(variances),
        "at length 1": even(reduced),
        "at variance 1, then length 1": even(reduced / np.sqrt(variances)),
        "half of that, then length 1 (the product's)": images.vectors,
    }
    place = {path: number for number, path in enumerate(images.paths)}
    print(f"\n| space | copy or original is the other's nearest | among its {COMPARED} nearest | turned, among them |")
    print("|---|---|---|---|")
    for name, rows in spaces.items():
        near = nearest_others(rows.astype(np.float32), COMPARED)
        ranks: dict[bool, list[int]] = {False: [], True: []}
        for copy, (of, change) in planted.items():
            both = rank(near, place[copy], place[of]), rank(near, place[of], place[copy])
            ranks[change in TURNS].append(min(both))
        plain, turned = np.array(ranks[False]), np.array(ranks[True])
        print(f"| {name} | {np.mean(plain == 0):.3f} | {np.mean(plain < COMPARED):.3f} | {np.mean(turned < COMPARED):.3f} |")


def even(rows: np.ndarray) -> np.ndarray:
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def rank(near: np.ndarray, one: int, other: int) -> int:
    found = np.flatnonzero(near[one] == other)
    return int(found[0]) if len(found) else COMPARED


def find_outliers(photographs: list[Path], work: Path) -> None:
    labels = sorted({path.parent.name for path in photographs})
    rng, wrong, taken = np.random.default_rng(0), set(), []
    for number, path in enumerate(photographs):
        if number % 20:
            taken.append(path)
            continue
        others = [label for label in labels if label != path.parent.name]
        moved = work / "wrong" / others[rng.integers(len(others))] / f"{number:04}-{path.name}"
        moved.parent.mkdir(parents=True, exist_ok=True)
        moved.write_bytes(path.read_bytes())
        taken.append(moved)
        wrong.add(f"file://{moved}")
    root = f"file://{work}/outliers"
    publish_pictures(root, taken)
    images = points.read(root)
    print(f"\n| nearest | of {len(wrong)} wrong labels found | of the outliers wrong | rightly named |")
    print("|---|---|---|---|")
    for count in (3, NEIGHBOURS, 10):
        found = outliers.find(images, count)
        right = [one for one in found if one.path in wrong]
        true = {f"{number:04}": path.parent.name for number, path in enumerate(photographs)}
        named = np.mean([one.majority == true[Path(one.path).name[:4]] for one in right])
        print(f"| {count} | {len(right) / len(wrong):.3f} | {len(right) / len(found):.3f} | {named:.3f} |")


def reduced_of(root: str, images: Points) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow.parquet as pq

    table = pq.read_table(publication.reduced_uri(root, images.version).removeprefix("file://")).sort_by("path")
    rows = np.array(table["pca_features"].to_pylist(), np.float32)
    return rows, publication.load_reduction(root).output_variances


def timed(photographs: list[Path], rows: int, work: Path) -> None:
    made_of, links = base(), []
    for row in range(rows):
        original = photographs[row % len(photographs)]
        link = work / "links" / original.parent.name / f"{row:06}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(original)
        links.append(link)
    root = f"file://{work}/root"
    publish_features(root, links, np.stack([noisy(made_of, row) for row in range(rows)]), {"extractor": "benchmark"})
    began = time.perf_counter()
    images = points.read(root)
    print(f"{rows:,} rows, k = {images.vectors.shape[1]}: read in {time.perf_counter() - began:.1f} s")
    for name, work_of in (
        ("duplicates", lambda: duplicates.find(images, DIFFERENCE)),
        ("outliers", lambda: outliers.find(images, NEIGHBOURS)),
    ):
        began = time.perf_counter()
        work_of()
        print(f"{name}: {time.perf_counter() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--nth", type=lambda text: [int(one) for one in text.split(",")], default=[7, 1])
    parser.add_argument("--rows", type=int, help="only the time, on so many rows")
    given = parser.parse_args()
    photographs = sorted(given.photographs.resolve().glob("*/*.jpg"))
    if given.rows:
        with tempfile.TemporaryDirectory() as work:
            timed(photographs, given.rows, Path(work))
        return
    for nth in given.nth:
        with tempfile.TemporaryDirectory() as work:
            print(
                f"\n## every {nth}. photograph: {len(photographs[::nth])}"
                if nth > 1
                else f"\n## all {len(photographs)} photographs"
            )
            find_duplicates(photographs[::nth], Path(work))
            find_outliers(photographs[::nth], Path(work))


if __name__ == "__main__":
    main()

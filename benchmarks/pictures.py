"""Folders of pictures for the benchmarks: the photographs of Fruits-360 where they are, else the product's own sample, repeated.

Copies are files of their own, so that each is read; their bytes, and so the work that they make, are those of the first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fruitpipe import sample

PHOTOGRAPHS = Path(__file__).parents[2] / "shared" / "data" / "fruits-360" / "Training"


def fill(folder: Path, count: int, first: int = 0) -> str:
    """Writes pictures `first` to `first` + `count` of an endless row, each in the folder of its label; says what they are."""
    originals = sorted(PHOTOGRAPHS.glob("*/*.jpg")) or _drawn(folder.with_name("drawn"))
    for number in range(first, first + count):
        original = originals[number % len(originals)]
        copy = folder / original.parent.name / f"{number // len(originals):03}-{original.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, copy)
    return f"{len(originals)} {'photographs' if PHOTOGRAPHS.is_dir() else 'drawn pictures'}, repeated"


def _drawn(folder: Path) -> list[Path]:
    sample.draw(folder, labels=12, images_per_label=40)
    return sorted(folder.glob("*/*.jpg"))

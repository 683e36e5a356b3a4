"""The int8 extractor beside the float32 one, on the photographs: nearness, neighbours, components, speed. Prints a line each.

    fruitpipe model build --extractor int8
    python benchmarks/int8.py

Nearest neighbours are by cosine among all other photographs (leave one out); `k` is the number of components that keep 95 % of
the standardised variance. Speed is one process with one thread, the model alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.features import PHOTOGRAPHS
from fruitpipe.choices import Precision
from fruitpipe.extractor.inference import ModelFile, Network
from fruitpipe.pictures.decoding import decode
from fruitpipe.settings import default_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

VARIANCE = 0.95


def features(model: str, pictures: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], float]:
    """(n, 1280) float32, and images/s on one core."""
    extract = Network(ModelFile.load(model).body)
    extract(pictures[0])
    began = time.perf_counter()
    vectors = np.stack([extract(picture) for picture in pictures])
    return vectors, len(pictures) / (time.perf_counter() - began)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def accuracy(queries: NDArray[np.float32], gallery: NDArray[np.float32], labels: NDArray[np.str_]) -> float:
    """Share of queries whose nearest other picture in the gallery has their label."""
    near = unit(queries) @ unit(gallery).T
    np.fill_diagonal(near, -1)
    return float((labels[near.argmax(axis=1)] == labels).mean())


def components(vectors: NDArray[np.float32]) -> int:
    """The number that keeps VARIANCE; a column that never changes has no share."""
    varying = vectors[:, vectors.std(axis=0) > 0].astype(np.float64)
    shares = np.linalg.eigvalsh(np.corrcoef(varying, rowvar=False))[::-1]
    return int(np.searchsorted(np.cumsum(shares) / shares.sum(), VARIANCE)) + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--int8", default=default_model(Precision.int8), help="the int8 model file")
    given = parser.parse_args()
    files = sorted(given.photographs.glob("*/*.jpg"))
    labels = np.array([file.parent.name for file in files])
    pictures = [decode(file.read_bytes()).pixels for file in files]
    (exact, exact_speed), (int8, int8_speed) = features(default_model(), pictures), features(given.int8, pictures)
    near = (unit(exact) * unit(int8)).sum(axis=1)
    print(f"{len(files):,} photographs, {len(set(labels))} labels")
    print(f"cosine int8 to float32: {near.mean():.4f} on average, {near.min():.4f} the least")
    pairs = {"float32": (exact, exact), "int8": (int8, int8), "int8 queries, float32 gallery": (int8, exact)}
    found = "  ".join(f"{name} {accuracy(*pair, labels):.4f}" for name, pair in pairs.items())
    print(f"nearest neighbour has the label: {found}")
    print(f"k for {VARIANCE:.0%}: float32 {components(exact)}  int8 {components(int8)}")
    print(f"images/s a core, model alone: float32 {exact_speed:.0f}  int8 {int8_speed:.0f}  {int8_speed / exact_speed:.2f} x")


if __name__ == "__main__":
    main()

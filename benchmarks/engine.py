"""Shared by all engines of the comparison: the product's decoder and model, and the lines by which its time is taken.

Each script of an engine reads the JPEG files under a folder and writes the columns `path`, `label` and `features` (1280 float32).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fruitpipe.extractor.inference import ModelFile, Network
from fruitpipe.pictures.decoding import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

UP, DONE = "up", "done"
IN_FULL = os.environ.get("FRUITPIPE_DECODE") == "full"  # as for the job itself


class Features:
    """The product's own way from a file's bytes to its features; one for each process, with one thread."""

    def __init__(self, model: str, *, in_full: bool = IN_FULL) -> None:
        self._extract = Network(ModelFile.load(model).body)
        self._in_full = in_full

    def __call__(self, body: bytes) -> NDArray[np.float32]:
        """The features, (1280,) float32, of the picture in `body`."""
        return self._extract(decode(body, in_full=self._in_full).pixels)


def label(path: str) -> str:
    """The name of the folder that holds the image."""
    return path.rsplit("/", 2)[-2]


def say(moment: str) -> None:
    """Tells the comparison, which reads its clock, that the engine is up (the last time counts) or done."""
    print(json.dumps({"engine": moment}), flush=True)


def run(work: Callable[[str, str, str], None]) -> None:
    """Runs `work(images, out, model)` as the command line says.

    The engine is up when its modules are imported; one that has a session or a cluster to start says so once more in `work`.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("images", help="folder of folders of JPEG files")
    parser.add_argument("out", help="where the engine writes")
    parser.add_argument("--model", required=True, help="the model file, as `fruitpipe model build` makes it")
    given = parser.parse_args()
    say(UP)
    work(str(Path(given.images).resolve()), str(Path(given.out).resolve()), str(Path(given.model).resolve()))
    say(DONE)


def moment(line: str) -> str | None:
    """Which of the two moments a line of an engine's output tells of, if any."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said.get("engine") if isinstance(said, dict) else None

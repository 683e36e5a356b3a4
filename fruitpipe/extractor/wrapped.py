"""A model file of any image network that LiteRT runs: the user's flatbuffer, with what it is to be given of a picture."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from fruitpipe import objects
from fruitpipe.errors import WrongModel, WrongUsage
from fruitpipe.extractor.inference import ModelFile, Network, fingerprint, pack_wrapped, quiet
from fruitpipe.output import say
from fruitpipe.pictures.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS = 3
IDENTIFIER = b"TFL3"  # of a LiteRT flatbuffer, from its fifth byte on
HIGHEST_PX = 4096  # a side


def wrap(path: str, to: str, mean: Sequence[float], scale: Sequence[float], size: tuple[int, int] | None = None) -> None:
    """Writes the model file `to` of the LiteRT model at `path`, and prints a line.

    mean, scale: one number, or one for each channel: the network gets (value - mean) / scale of values from 0 to 255. size:
    height and width in px; without it, those that the model says. Raises NotFound, WrongUsage, WrongModel for one that gives no
    vector.
    """
    flatbuffer = _without_archive(path, objects.read(objects.canonical(path)))
    preprocessing = Preprocessing(*_sizes(path, flatbuffer, size), _each("--mean", mean), _each("--scale", scale))
    if not all(value > 0 for value in preprocessing.scale):
        raise WrongUsage(f"--scale {_listed(scale)}: what values are divided by has to be above 0")
    features = _features(path, flatbuffer, preprocessing)
    body = pack_wrapped(flatbuffer, preprocessing)
    objects.write(objects.canonical(to), body)
    say(f"Model: {to} ({len(body) / 1e6:.1f} MB, {features} features, fingerprint {fingerprint(ModelFile.parse(body))})")


def _without_archive(path: str, body: bytes) -> bytes:
    """The flatbuffer alone: files that a tool has put behind it, such as the names of its classes, are no part of the network."""
    if body[4:8] != IDENTIFIER:
        raise WrongModel(f"{path}: {len(body)} bytes that are no LiteRT model; convert the network to a .tflite file first")
    if not zipfile.is_zipfile(io.BytesIO(body)):
        return body
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return body[: min((one.header_offset for one in archive.infolist()), default=len(body))]


def _sizes(path: str, flatbuffer: bytes, asked: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the pictures that the network takes, or is made to take."""
    details = _only(path, "input", _interpreter(path, flatbuffer).get_input_details())
    batch, height, width, channels = shape = [*map(int, details["shape_signature"]), 0, 0, 0, 0][:4]
    if len(details["shape"]) != len(shape) or batch not in {1, -1} or channels != CHANNELS or details["dtype"] != np.float32:
        raise WrongModel(
            f"{path}: its input has the shape {tuple(details['shape_signature'])} and the type {np.dtype(details['dtype'])}; "
            "expected (1, height, width, 3) and float32: convert it so"
        )
    found = (height, width)
    if asked is None and -1 in found:
        raise WrongUsage(f"{path}: takes pictures of any size; say with --size what it was trained on")
    if asked is not None and any(here not in {-1, there} for here, there in zip(found, asked, strict=True)):
        raise WrongUsage(f"--size {asked[0]}x{asked[1]}: {path} takes pictures of {height} x {width}; leave it out")
    chosen = asked or found
    if not all(1 <= side <= HIGHEST_PX for side in chosen):
        raise WrongUsage(f"--size {chosen[0]}x{chosen[1]}: each side has 1 to {HIGHEST_PX} px")
    return chosen


def _features(path: str, flatbuffer: bytes, preprocessing: Preprocessing) -> int:
    """How many the network gives. It is run once."""
    outputs = _interpreter(path, flatbuffer).get_output_details()
    _only(path, "output", outputs)
    try:
        extract = Network(flatbuffer, preprocessing)
        features = extract(np.zeros((preprocessing.height_px, preprocessing.width_px, CHANNELS), np.float32))
    except (RuntimeError, ValueError) as error:
        raise WrongModel(f"{path}: LiteRT does not run it ({str(error).splitlines()[0]})") from error
    *others, count = extract.output_shape
    if set(others) - {1} or count < 2 or features.dtype != np.float32:  # noqa: PLR2004 - one number is no vector
        raise WrongModel(
            f"{path}: its output has the shape {extract.output_shape} and the type {features.dtype}; expected one vector of "
            "float32: take the classes off and let it end in an average over height and width"
        )
    if not np.isfinite(features).all():
        raise WrongModel(f"{path}: gives NaN or infinite features of a black picture; check --mean and --scale")
    return count


def _interpreter(path: str, flatbuffer: bytes) -> Any:
    try:
        with quiet(2):
            return Interpreter(model_content=flatbuffer, num_threads=1)
    except (RuntimeError, ValueError) as error:
        raise WrongModel(f"{path}: LiteRT does not load it ({str(error).splitlines()[0]})") from error


def _only(path: str, what: str, details: list[dict[str, Any]]) -> dict[str, Any]:
    if len(details) != 1:
        raise WrongModel(f"{path}: has {len(details)} {what}s, expected one")
    return details[0]


def _each(flag: str, given: Sequence[float]) -> tuple[float, float, float]:
    """A value for each channel. Raises WrongUsage."""
    if len(given) not in {1, CHANNELS} or not np.isfinite(given).all():
        raise WrongUsage(f"{flag} {_listed(given)}: give one number, or three with commas between: red, green, blue")
    red, green, blue = given if len(given) == CHANNELS else [*given] * CHANNELS
    return float(red), float(green), float(blue)


def _listed(given: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in given)

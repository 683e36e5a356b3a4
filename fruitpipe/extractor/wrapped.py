"""A model file of any image network that LiteRT runs: the user's flatbuffer, with what it is to be given of a picture."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from fruitpipe import objects
from fruitpipe.errors import WrongModel, WrongUsage
from fruitpipe.extractor.inference import CHANNELS, IDENTIFIER, ModelFile, Network, fingerprint, pack_wrapped, quiet
from fruitpipe.output import say
from fruitpipe.pictures.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence

DIMENSIONS = 4  # of a batch of pictures: number, height, width, channels
HIGHEST_PX = 4096  # a side


def wrap(path: str, to: str, mean: Sequence[float], scale: Sequence[float], size: tuple[int, int] | None = None) -> None:
    """Writes the model file `to` of the LiteRT model at `path`, and prints a line.

    mean, scale: one number, or one for each channel: the network gets (value - mean) / scale of values from 0 to 255. size:
    height and width in px; without it, those that the model says. Raises NotFound, WrongUsage, WrongModel for one that gives no
    vector.
    """
    source, target = objects.canonical(path), objects.canonical(to)
    if objects.real(source) == objects.real(target):
        raise WrongUsage(f"{to} is the network itself, which stays as it is; give another path for the model file")
    flatbuffer = _without_archive(path, objects.read(source))
    taken = _taken(path, _interpreter(path, flatbuffer))
    preprocessing = Preprocessing(*_size(path, taken, size), _each("--mean", mean), _each("--scale", scale))
    if not all(value > 0 for value in preprocessing.scale):
        raise WrongUsage(f"--scale {_listed(scale)}: what values are divided by has to be above 0")
    features = _features(path, flatbuffer, preprocessing)
    body = pack_wrapped(flatbuffer, preprocessing)
    objects.write(target, body)
    say(f"Model: {to} ({len(body) / 1e6:.1f} MB, {features} features, fingerprint {fingerprint(ModelFile.parse(body))})")


def _without_archive(path: str, body: bytes) -> bytes:
    """The flatbuffer alone: files that a tool has put behind it, such as the names of its classes, are no part of the network."""
    if body[4:8] != IDENTIFIER:
        raise WrongModel(f"{path}: {len(body)} bytes that are no LiteRT model; convert the network to a .tflite file first")
    if not zipfile.is_zipfile(io.BytesIO(body)):
        return body
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return body[: min((one.header_offset for one in archive.infolist()), default=len(body))]


def _taken(path: str, network: Any) -> tuple[int, int]:
    """Height and width of the pictures that the network takes; -1 for any. Raises WrongModel where it takes no picture alone."""
    details = _only(path, "input", network.get_input_details())
    _only(path, "output", network.get_output_details())
    shape = tuple(int(side) for side in details["shape_signature"])
    is_picture = len(shape) == DIMENSIONS and shape[0] in {1, -1} and shape[-1] == CHANNELS
    if not is_picture or details["dtype"] != np.float32:
        raise WrongModel(
            f"{path}: its input has the shape {shape} and the type {np.dtype(details['dtype'])}; "
            "expected (1, height, width, 3) and float32: convert it so"
        )
    return shape[1], shape[2]


def _size(path: str, taken: tuple[int, int], asked: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the pictures that the network is given. Raises WrongUsage."""
    if asked is None and -1 in taken:
        raise WrongUsage(f"{path}: takes pictures of any size; say with --size what it was trained on")
    if asked is not None and any(here not in {-1, there} for here, there in zip(taken, asked, strict=True)):
        raise WrongUsage(f"--size {asked[0]}x{asked[1]}: {path} takes pictures of {taken[0]} x {taken[1]}; leave it out")
    chosen = asked or taken
    if not all(1 <= side <= HIGHEST_PX for side in chosen):
        raise WrongUsage(f"--size {chosen[0]}x{chosen[1]}: each side has 1 to {HIGHEST_PX} px")
    return chosen


def _features(path: str, flatbuffer: bytes, preprocessing: Preprocessing) -> int:
    """How many the network gives. It is run once, on a picture with all levels from black to white."""
    with np.errstate(all="ignore"):
        pixels = preprocessing(Image.linear_gradient("L").convert("RGB"))
    if not np.isfinite(pixels).all():
        given = f"--mean {_listed(preprocessing.mean)} --scale {_listed(preprocessing.scale)}"
        raise WrongUsage(f"{given}: make NaN or infinite numbers of a picture; take larger scales or smaller means")
    try:
        network = Network(flatbuffer, preprocessing)
        features = network(pixels)
    except (RuntimeError, ValueError) as error:
        raise WrongModel(f"{path}: LiteRT does not run it ({str(error).splitlines()[0]})") from error
    *others, count = network.output_shape
    if set(others) - {1} or count < 2 or features.dtype != np.float32:  # noqa: PLR2004 - one number is no vector
        raise WrongModel(
            f"{path}: its output has the shape {network.output_shape} and the type {features.dtype}; expected one vector of "
            "float32: take the classes off and let it end in an average over height and width"
        )
    if not np.isfinite(features).all():
        raise WrongModel(f"{path}: gives NaN or infinite features of a picture from black to white; check --mean and --scale")
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

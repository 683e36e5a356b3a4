"""The stream without a grace, the command, and what the table holds of an image."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fruitpipe import cli
from tests import networks


@pytest.fixture
def small_network(tmp_path):
    """In the extractor's place."""
    with networks.in_place_of_ours(tmp_path / "network.tflite", networks.wrapped(networks.small(), scale=255.0)):
        yield


@pytest.fixture
def run(said):
    """One run of the stream, whose readers need no file any more; returns all that it said."""
    return partial(said, erasure_grace_hours=0)


@pytest.fixture
def erase(root, capsys):
    """The command; its exit code and what it said."""

    def erase(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main(["erase", "--root", root, *arguments])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out + said.err

    return erase


@pytest.fixture
def vectors(by_uri):
    """The bytes of each image's features."""

    def vectors():
        return {path: np.float32(row["features"]).tobytes() for path, row in by_uri().items() if row["features"]}

    return vectors

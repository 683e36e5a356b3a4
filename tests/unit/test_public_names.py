"""What users' code imports."""

import importlib
import sys

import pytest

import fruitpipe
from fruitpipe.refit import publication


def test_the_package_gives_what_reads_a_version():
    assert fruitpipe.load_reduction is publication.load_reduction
    assert fruitpipe.load_classifier is publication.load_classifier
    assert fruitpipe.read_reduced is publication.read_reduced
    with pytest.raises(AttributeError, match="has no attribute 'load_model'"):
        _ = fruitpipe.load_model


def test_the_old_place_still_gives_it_and_names_the_new_one(monkeypatch):
    monkeypatch.delitem(sys.modules, "fruitpipe.publication", raising=False)
    with pytest.warns(DeprecationWarning, match="import load_reduction and read_reduced from fruitpipe"):
        old = importlib.import_module("fruitpipe.publication")
    assert (old.load_reduction, old.read_reduced) == (publication.load_reduction, publication.read_reduced)

"""A network for one picture at a time, made of one whose batch, or whose size, is free: the same bits in LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from fruitpipe.extractor import fixed_batch
from fruitpipe.extractor.inference import IDENTIFIER, ModelFile, Network
from fruitpipe.settings import default_model
from tests import networks

SIDE = networks.SIDE_PX


def pictures(side=SIDE):
    return np.random.default_rng(0).uniform(-1, 1, (5, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [False, True], ids=["batch", "batch and size"])
def test_a_free_shape_becomes_that_of_one_picture_and_the_vectors_keep_their_bits(size):
    model = networks.wrapped(networks.freed(networks.small(), size=size))
    fixed = fixed_batch.of(model)
    details = [one for one in Interpreter(model_content=fixed).get_tensor_details() if len(one["shape"])]
    assert not [one["name"] for one in details if -1 in one["shape_signature"]]
    (given,) = Interpreter(model_content=fixed).get_input_details()
    assert given["shape_signature"].tolist() == [1, SIDE, SIDE, 3]
    ours, theirs = Network(model.body, model.preprocessing), Network(fixed, model.preprocessing)
    for picture in pictures():
        np.testing.assert_array_equal(theirs(picture), ours(picture))
        np.testing.assert_allclose(theirs(picture), networks.expected(picture), rtol=1e-5)


def test_a_free_size_becomes_the_one_that_the_model_was_wrapped_with():
    model = networks.wrapped(networks.freed(networks.small(), size=True), side=48)
    fixed = fixed_batch.of(model)
    (given,) = Interpreter(model_content=fixed).get_input_details()
    assert given["shape_signature"].tolist() == [1, 48, 48, 3]
    ours, theirs = Network(model.body, model.preprocessing), Network(fixed, model.preprocessing)
    for picture in pictures(48):
        np.testing.assert_array_equal(theirs(picture), ours(picture))


def test_a_network_for_one_picture_keeps_its_bytes_and_loses_what_is_appended():
    assert fixed_batch.of(networks.wrapped(networks.small())) == networks.small()


def test_our_own_model_is_without_a_free_shape():
    fixed = fixed_batch.of(ModelFile.load(default_model()))
    assert fixed[4:8] == IDENTIFIER
    assert not [one for one in Interpreter(model_content=fixed).get_tensor_details() if -1 in one["shape_signature"]]

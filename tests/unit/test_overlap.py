"""Work that goes on while the caller uses a result."""

from __future__ import annotations

import threading

import pytest

from fruitpipe.ingest import overlap


def test_every_piece_gives_its_result_whatever_their_number():
    for count in (0, 1, 2, 7):
        assert sorted(overlap.results(lambda piece, _: piece * piece, range(count))) == [n * n for n in range(count)]


def test_the_next_pieces_are_worked_on_while_the_caller_uses_a_result():
    begun = [threading.Event() for _ in range(3)]

    def work(piece, _):
        begun[piece].set()
        if piece == 1:  # not before the caller has the first
            assert begun[2].wait(60)
        return piece

    results = overlap.results(work, range(3))
    assert next(results) == 0
    assert begun[2].wait(60), "a piece is begun before its forerunner's result is used up"
    assert sorted(results) == [1, 2]


def test_a_piece_is_taken_when_its_work_begins_and_none_is_taken_in_advance():
    taken = []

    def pieces():
        for piece in range(9):
            taken.append(piece)
            yield piece

    results = overlap.results(lambda piece, _: piece, pieces())
    assert not taken
    next(results)
    assert taken == [0, 1, 2]


def stopped(piece, cancelled):
    """The first piece fails; the second goes on until it is told not to."""
    if piece == 0:
        raise ValueError("as the test has it")
    assert cancelled.wait(60)
    return piece


def test_a_piece_that_fails_cancels_what_is_in_progress_and_the_next_call_begins_anew():
    with pytest.raises(ValueError, match="as the test has it"):
        list(overlap.results(stopped, range(9)))
    assert sorted(overlap.results(lambda piece, cancelled: (piece, cancelled.is_set()), range(2))) == [(0, False), (1, False)]


def test_a_caller_that_gives_up_cancels_what_is_in_progress():
    seen = []

    def work(piece, cancelled):
        if piece:
            seen.append(cancelled.wait(60))
        return piece

    results = overlap.results(work, range(9))
    next(results)
    results.close()
    assert seen
    assert all(seen)

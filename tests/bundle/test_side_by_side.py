"""Many calls run at once, and their results come in order."""

import threading

import pytest

from flyte_nb.bundle.side_by_side import side_by_side


def test_results_come_in_the_order_of_the_items():
    second_done = threading.Event()

    def act(number):
        if number == 0:
            assert second_done.wait(120)
        if number == 1:
            second_done.set()
        return number * 2

    assert list(side_by_side(act, range(5), threads=2)) == [0, 2, 4, 6, 8]


def test_nothing_to_do_is_done_at_once():
    assert list(side_by_side(pytest.fail, [])) == []


def test_few_results_are_computed_ahead_of_the_caller():
    begun, changed = [], threading.Condition()

    def act(number):
        with changed:
            begun.append(number)
            changed.notify_all()
        return number

    results = side_by_side(act, range(100), threads=4)
    assert next(results) == 0
    with changed:
        assert changed.wait_for(lambda: len(begun) == 5, timeout=120)
        assert not changed.wait_for(lambda: len(begun) > 5, timeout=0.05)
    assert list(results) == list(range(1, 100))


def test_an_error_is_raised_in_its_place_and_ends_the_rest():
    def act(number):
        if number == 2:
            raise ValueError("two")
        return number

    results = side_by_side(act, range(1000), threads=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_closing_begins_no_further_call_and_waits_for_none():
    release, begun = threading.Event(), []

    def act(number):
        begun.append(number)
        if number:
            release.wait(120)
        return number

    results = side_by_side(act, range(100), threads=2)
    assert next(results) == 0
    results.close()
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("flyte-nb-"):
            thread.join(120)
    assert len(begun) <= 4

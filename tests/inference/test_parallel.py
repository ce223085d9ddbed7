from __future__ import annotations

from threading import Event, Lock, current_thread, main_thread

import pytest

from centernet.inference.parallel import in_order

PATIENCE = 240  # seconds until a test that waits in vain fails


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("number", [0, 1, 20])
def test_results_come_in_the_order_of_the_items(parallel, number) -> None:
    assert list(in_order(lambda item: item * item, iter(range(number)), parallel=parallel)) == [i * i for i in range(number)]


def test_as_many_are_under_way_as_allowed_and_a_slow_one_does_not_change_the_order() -> None:
    last_has_begun = Event()

    def run(item: int) -> int:
        if item == 2:
            last_has_begun.set()
        assert last_has_begun.wait(PATIENCE), "the third was not begun while the first was under way"
        return item

    assert list(in_order(run, range(3), parallel=3)) == [0, 1, 2]


def test_no_more_are_under_way_than_allowed() -> None:
    lock, running, most = Lock(), 0, 0

    def run(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    list(in_order(run, range(50), parallel=2))
    assert most <= 2


def test_only_a_few_items_are_held() -> None:
    asked: list[int] = []

    def items():
        for item in range(100):
            asked.append(item)
            yield item

    results = in_order(lambda item: item, items(), parallel=2)
    next(results)
    assert len(asked) <= 4
    results.close()
    assert len(asked) <= 4


@pytest.mark.parametrize("parallel", [1, 2])
def test_an_error_comes_where_the_result_would_have_come(parallel) -> None:
    results = in_order(lambda item: 6 // item, [3, 2, 0, 1], parallel=parallel)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("parallel", [1, 2])
def test_items_are_asked_for_in_the_callers_thread(parallel) -> None:
    threads = []

    def items():
        threads.append(current_thread())
        yield 1

    assert list(in_order(lambda item: item, items(), parallel=parallel)) == [1]
    assert threads == [main_thread()]

"""Several runs under way at a time: what keeps a runtime's throughput mode busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item], *, parallel: int = 1) -> Iterator[Result]:
    """`function(item)` of every item, in the order of the items, each on one of `parallel` threads.

    Items are asked for in the caller's thread, and no more than twice `parallel` of them are held at a time. With one thread
    this is `map`: nothing is done before it is asked for. An error comes where its result would have come; what was begun is
    then waited for, what was not is given up.
    """
    if parallel <= 1:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(parallel, thread_name_prefix="detect")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 2 * parallel or pending[0].done():
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch

"""How the largest batch that fits into a GPU is looked for, by ours and by PyTorch: needs nothing but Python."""

from __future__ import annotations

from collections.abc import Mapping

SHARE = 8  # of the largest batch that is known to fit: it is known no better than to that part


def next_batch(tried: Mapping[int, bool], *, first: int, most: int) -> int | None:
    """Which batch to try after these, {size: whether it fits}: twice as many until one does not fit, then the middle between.

    Args:
        first: the one to begin with. most: none larger is tried.

    Returns:
        None where there is none left to try: then the largest that fits is known to an eighth.
    """
    fitting = max((size for size, fits in tried.items() if fits), default=0)
    failing = min((size for size, fits in tried.items() if not fits), default=None)
    if failing is None:
        size = 2 * fitting or first
        return size if size <= most else None
    return (fitting + failing) // 2 if failing - fitting > max(1, fitting // SHARE) else None


def found(tried: Mapping[int, bool], *, most: int) -> str:
    """What is known about the largest batch besides its size, as words behind it."""
    failing = min((size for size, fits in tried.items() if not fits), default=None)
    fitting = max((size for size, fits in tried.items() if fits), default=0)
    if failing is not None:
        return f"images; {failing} do not fit"
    return "images, the most that is tried" if 2 * fitting > most else "images; no time for more"

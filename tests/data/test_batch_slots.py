"""Memory for a few batches, used over and over."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from centernet.data.batch_slots import Job, Slots
from centernet.data.shared_memory import OwnMemory


def test_what_is_lent_is_not_overwritten_until_it_is_released(numbered: ModuleType) -> None:
    slots = Slots(numbered.Numbered(), [OwnMemory(), OwnMemory()], batch=2)
    first, second = (slots.take(Job(0, number, np.array([0, 1]))) for number in (0, 1))
    first.arrays["image"][...], second.arrays["image"][...] = 1, 2
    slots.release()  # nothing is lent yet
    assert not slots.has_room
    slots.lend(first)
    assert not slots.has_room
    slots.release()
    slots.release()
    third = slots.take(Job(0, 2, np.array([4])))
    assert not slots.has_room
    third.arrays["image"][...] = 3
    assert third.slot == first.slot
    assert (second.arrays["image"] == 2).all()

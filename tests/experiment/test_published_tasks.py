"""What the tasks say of published networks and their files."""

from __future__ import annotations

import pytest

from centernet import plugins
from centernet.experiment import published_tasks
from centernet.experiment.assembly import TASKS
from centernet.models.network import HEADS
from centernet.structures import ClassTable


@pytest.mark.parametrize("task", plugins.names(TASKS))
def test_a_task_knows_its_own_heads_with_their_classes(task: str) -> None:
    plugin = plugins.load(TASKS, task)
    heads = plugin.build(plugin.Config(), ClassTable(("a", "b", "c"))).heads
    found = published_tasks.claim({spec.scope: spec.channels for spec in heads.values()})
    assert found == published_tasks.Claim(task=task, num_classes=3, options={})


@pytest.mark.parametrize("task", plugins.names(TASKS))
def test_the_head_of_published_networks_is_there_and_tells_their_task(task: str) -> None:
    head = published_tasks.published(task)["model"]["head"]["name"]
    assert head in plugins.names(HEADS)
    assert published_tasks.of_head(head) == task


def test_heads_of_no_task_here_are_claimed_by_none() -> None:
    assert published_tasks.claim({"hm_t": 80, "hm_l": 80, "reg_t": 2}) is None
    assert published_tasks.claim({}) is None
    assert len(published_tasks.detectors()) == len(plugins.names(TASKS))


def test_options_that_heads_ask_for_are_named() -> None:
    found = published_tasks.claim({"hm": 20, "wh": 40, "reg": 2})
    assert found == published_tasks.Claim(task="ctdet", num_classes=20, options={"boxes.per_class": True})

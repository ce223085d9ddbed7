"""What is known of the networks that have a name."""

from __future__ import annotations

import subprocess
import sys

import centernet
from centernet.models import catalogue
from centernet.models.architectures import ARCHITECTURES
from centernet.weights import published


def test_every_architecture_is_listed_once_in_order() -> None:
    assert [model.name for model in centernet.models.list()] == list(ARCHITECTURES)


def test_facts_are_about_architectures_there_are() -> None:
    assert {*catalogue.WEIGHTS, *catalogue.PUBLISHED} <= set(ARCHITECTURES)
    for name, fact in catalogue.PUBLISHED.items():
        assert fact.weights is None or fact.weights in catalogue.WEIGHTS[name]
        numbers = [ap for ap in (fact.ap, fact.flip_ap, fact.scales_ap) if ap is not None]
        assert 0 < numbers[0] < 100
        assert sorted(numbers) == numbers  # what costs more finds more


def test_the_predecessors_files_are_called_as_they_are_downloaded() -> None:
    named = {name for model in catalogue.models() for name in (*model.weights, *model.backbone_weights)}
    assert set(published.PUBLISHED) - named == {"resnet18_nhwc_imagenet", "dla34_nhwc_imagenet"}  # the other layout of the same


def test_weights_have_a_licence_and_a_network_without_any_has_none() -> None:
    for model in catalogue.models():
        assert bool(model.licence) == bool(model.weights or model.backbone_weights), model.name
    by_name = {model.name: model.licence for model in catalogue.models()}
    assert (by_name["res_18"], by_name["dlav0_34"], by_name["dla_34"], by_name["resnext_50"]) == (
        "Apache-2.0",
        "Apache-2.0",
        "MIT",
        "BSD-3-Clause",
    )


def test_the_networks_of_keypoint_triplets_have_all_the_numbers_of_their_table() -> None:
    by_name = {model.name: model for model in catalogue.models()}
    assert [str(by_name[f"{size}_hourglass"].published) for size in ("large", "small", "tiny")] == [
        "42.9/45.0/46.9",
        "39.5/41.9/43.6",
        "None",
    ]
    assert by_name["large_hourglass"].backbone_weights == by_name["tiny_hourglass"].backbone_weights == ()
    assert by_name["large_hourglass"].parameters == 210_062_960  # which the original's training prints


def test_listing_does_not_wait_for_nnabla() -> None:
    program = "import sys, centernet; assert centernet.models.list(); sys.exit('nnabla' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

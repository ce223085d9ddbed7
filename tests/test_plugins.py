"""The folder is the registry."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from centernet import plugins
from centernet.errors import ConfigError

BACKBONES = "centernet.models.backbones"
PACKAGES = (BACKBONES, "centernet.models.necks", "centernet.models.heads", "centernet.data.datasets", "centernet.tasks")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_folder_is_a_choice_but_not_its_interface(package: str) -> None:
    names = plugins.names(package)
    assert names == sorted(names)
    assert names
    assert "base" not in names
    for name in names:
        assert isinstance(plugins.load(package, name).Config, type)


def test_a_name_that_is_no_file_is_an_error_that_lists_the_files() -> None:
    with pytest.raises(ConfigError, match="backbones: 'resnt' is not there; did you mean 'resnet'"):
        plugins.load(BACKBONES, "resnt")
    with pytest.raises(ConfigError, match=r"known: dla, dlav0, .*resnet"):
        plugins.load(BACKBONES, "os.path")


def test_a_configuration_object_knows_the_plugin_it_belongs_to() -> None:
    assert plugins.name_of(plugins.load(BACKBONES, "resnet").Config()) == "resnet"  # a file
    assert plugins.name_of(plugins.load("centernet.tasks", "ctdet").Config()) == "ctdet"  # a folder


def test_a_section_becomes_its_plugins_config_and_back() -> None:
    adapter: Any = TypeAdapter(plugins.plugin_config(BACKBONES))
    config = adapter.validate_python({"name": "resnet", "num_layers": 34})
    assert config.num_layers == 34
    assert adapter.validate_python(config) is config
    tree = adapter.dump_python(config, mode="json")
    assert tree["name"] == "resnet"
    assert adapter.validate_python(tree) == config


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("resnet", "expected a section with a 'name', found 'resnet'"),
        ({}, "'name' is missing; known: dla, dlav0, .*resnet"),
        ({"name": 3}, "'name' is missing"),
        ({"name": "vgg"}, "'vgg' is not there"),
        ({"name": "resnet", "layers": 18}, "layers"),
    ],
)
def test_a_section_that_fits_no_plugin_is_an_error(section: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(plugins.plugin_config(BACKBONES)).validate_python(section)


def test_only_a_section_of_plugins_has_a_package() -> None:
    assert plugins.package_of(plugins.plugin_config(BACKBONES)) == BACKBONES
    assert plugins.package_of(int) is None

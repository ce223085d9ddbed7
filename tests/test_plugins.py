"""The folder is the registry."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from centernet import plugins
from centernet.errors import ConfigError

Write = Callable[[Mapping[str, str]], None]

BACKBONES, NECKS = "centernet.models.backbones", "centernet.models.necks"
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
        ({"name": 3}, r"found the name 3 \(int\), expected one of dla, dlav0, .*resnet"),
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


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


STRICT_CONFIG = """
from dataclasses import dataclass as plain
from pydantic.dataclasses import dataclass
from centernet.errors import STRICT
"""
NECK = """
@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    depth: int = 3

def features(config, inputs): ...
def build(features, ops, config): ...
"""
CLASS = """
class Deep:
    @dataclass(frozen=True, kw_only=True, config=STRICT)
    class Config:
        depth: int = 3
    @staticmethod
    def features(config, inputs): ...
    @staticmethod
    def build(features, ops, config): ...
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules that Python finds, and forgets them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda files: write(tmp_path, files)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pond", "brook")]:
        del sys.modules[name]


def test_a_plugin_of_ones_own_is_a_module_or_a_class(outside: Write) -> None:
    outside({"pond/deep.py": STRICT_CONFIG + NECK, "brook.py": STRICT_CONFIG + CLASS})
    outside({"pond/wide/__init__.py": "from pond.wide.config import *", "pond/wide/config.py": STRICT_CONFIG + NECK})
    adapter: Any = TypeAdapter(plugins.plugin_config(NECKS))
    for name in ("pond:deep", "brook:Deep", "pond:wide"):
        config = adapter.validate_python({"name": name, "depth": 4})
        assert config.depth == 4
        assert plugins.name_of(config) == name
        tree = adapter.dump_python(config, mode="json")
        assert tree == {"name": name, "depth": 4}
        assert adapter.validate_python(tree) == adapter.validate_python(config) == config
    with pytest.raises(ValidationError, match="dept"):
        adapter.validate_python({"name": "pond:deep", "dept": 4})


def test_a_name_from_elsewhere_becomes_that_of_its_own_module(outside: Write) -> None:
    outside({"pond/deep.py": STRICT_CONFIG + NECK, "pond/__init__.py": "from pond import deep as also"})
    assert plugins.name_of(plugins.load(NECKS, "pond:also").Config()) == "pond:deep"
    assert plugins.name_of(plugins.load(NECKS, "centernet.models.necks:fpn").Config()) == "fpn"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pond:", "necks: found 'pond:', expected module:name, for example my_package.parts:tiny"),
        (":deep", "expected module:name"),
        ("pond/deep:x", "expected module:name"),
        ("pond:a:b", "expected module:name"),
        ("__main__:Deep", "is in the program itself, where no other process finds it"),
        ("ponds:deep", "'ponds:deep': Python finds no module 'ponds'; did you mean 'pond'.*add the folder that holds it to PYTHONPATH"),
        ("pond.dep:deep", r"finds no module 'pond.dep'; did you mean 'pond.deep'\?"),
        ("pond:dep", r"module pond \(.*pond.__init__.py\) has no 'dep'; did you mean 'deep'\?"),
        ("brook:Dep", r"module brook \(.*brook.py\) has no 'Dep'; did you mean 'Deep'\?"),
        ("pond:broken", r"pond.broken cannot be imported: ZeroDivisionError: division by zero \(.*broken.py:2\)"),
        ("pond:lacking", r"pond.lacking cannot be imported: ModuleNotFoundError: No module named 'no_such_thing' \(.*lacking.py:1\)"),
        ("pond:empty", "'pond:empty' has no Config and no features and no build; expected Config, features, build"),
        ("pond:lax", "its Config is not strict; declare it with @pydantic.dataclasses.dataclass"),
        ("pond:standard", "its Config is not strict"),
        ("pond:derived", "its Config is not strict"),
        ("pond:named", "its Config has a field 'name', which in YAML names the plug-in"),
        ("pond:borrowed", "its Config is that of 'fpn'; give it one of its own"),
        ("centernet.models.backbones:resnet", "its Config is that of 'resnet'"),
    ],
)
def test_a_plugin_of_ones_own_that_is_none_is_an_error_that_says_why(outside: Write, name: str, said: str) -> None:
    outside(
        {
            "brook.py": STRICT_CONFIG + CLASS,
            "pond/__init__.py": "",
            "pond/deep.py": STRICT_CONFIG + NECK,
            "pond/broken.py": "\n1 / 0",
            "pond/lacking.py": "import no_such_thing",
            "pond/empty.py": "",
            "pond/lax.py": STRICT_CONFIG + NECK.replace(", config=STRICT", ""),
            "pond/standard.py": STRICT_CONFIG + NECK.replace("@dataclass(frozen=True, kw_only=True, config=STRICT)", "@plain(frozen=True)"),
            "pond/derived.py": "from centernet.models.necks import fpn\nfrom pond.deep import *\nclass Config(fpn.Config): ...",
            "pond/named.py": STRICT_CONFIG + NECK.replace("depth", "name"),
            "pond/borrowed.py": "from centernet.models.necks.fpn import *\n",
        }
    )
    with pytest.raises(ConfigError, match=said):
        plugins.load(NECKS, name)


def test_files_and_folders_are_called_by_the_name_without_its_module() -> None:
    assert [plugins.short_name(name) for name in ("resnet", "pond.deep:wide")] == ["resnet", "wide"]

"""The larger packages say what each of their modules is for."""

from __future__ import annotations

import pkgutil
import re
from types import ModuleType

import pytest

from tierlens import capture, shipping


@pytest.mark.parametrize("package", [capture, shipping], ids=lambda package: package.__name__)
def test_a_package_names_its_modules_each_once(package: ModuleType) -> None:
    lines = re.findall(r"^    (\w+(?:, \w+)*)   ", package.__doc__ or "", re.MULTILINE)

    named = [name for line in lines for name in line.split(", ")]

    assert sorted(named) == sorted(module.name for module in pkgutil.iter_modules(package.__path__))

"""The submodules that a function reaches through a package are read from the function."""

import concurrent
import concurrent.futures.thread
import importlib
import os
import xml
import xml.dom.minidom
import xml.etree.ElementTree
from xml import dom

import pytest

from flyte_nb.bundle.code import captured, submodules, used_globals
from flyte_nb.bundle.shaded import cloudpickle


def _deep():
    return xml.etree.ElementTree.fromstring("<a/>"), concurrent.futures.Future


def _through_an_alias():
    return dom.minidom.parseString


def _no_package():
    return os.path, importlib


def _closure():
    package = xml

    def inner():
        return package.dom

    return inner


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (_deep, ["concurrent.futures", "xml.etree", "xml.etree.ElementTree"]),
        (_through_an_alias, ["xml.dom.minidom"]),
        (_no_package, []),
        (_closure(), ["xml.dom"]),
    ],
)
def test_submodules_are_those_that_cloudpickle_finds(function, names):
    values = [*used_globals(function).values(), *captured(function).values()]
    theirs = cloudpickle()._find_imported_submodules(function.__code__, values)
    assert [module.__name__ for module in submodules(function)] == names
    assert {module.__name__ for module in theirs} == set(names)

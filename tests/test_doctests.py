"""The examples in the docstrings do what they show."""

import doctest
import importlib
import pkgutil

import pytest

import afl_helpers

MODULES = [
    module.name
    for module in pkgutil.walk_packages(afl_helpers.__path__, "afl_helpers.")
    if not module.name.endswith("__main__")
]
#: Where readers look first: each public function and class there has an example.
SHOWN = ("afl_helpers.gamma", "afl_helpers.losses", "afl_helpers.evaluation", "afl_helpers.claims")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.setenv("AFL_CACHE_DIR", str(tmp_path))
    assert doctest.testmod(importlib.import_module(name), raise_on_error=False).failed == 0


@pytest.mark.parametrize("name", SHOWN)
def test_every_public_name_has_an_example(name):
    module = importlib.import_module(name)
    public = getattr(module, "__all__", None) or [
        key
        for key, value in vars(module).items()
        if callable(value) and not key.startswith("_") and value.__module__ == name
    ]
    callables = {key: getattr(module, key) for key in public if callable(getattr(module, key))}
    assert callables and [key for key, value in callables.items() if ">>>" not in (value.__doc__ or "")] == []

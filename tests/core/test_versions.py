"""Versions as they are recorded beside a result."""

import importlib.metadata

from synthset.core.versions import LIBRARIES, library_versions


def test_every_library_has_its_version_or_says_that_it_is_missing(monkeypatch):
    installed = importlib.metadata.version("numpy")
    assert library_versions()["numpy"] == installed
    monkeypatch.setattr("synthset.core.versions.LIBRARIES", ("numpy", "no-such-library"))
    assert library_versions() == {"numpy": installed, "no-such-library": "not installed"}


def test_what_drawing_and_training_depend_on_is_named():
    assert {"synthset", "torch", "diffusers", "timm", "numpy", "pillow"} <= set(LIBRARIES)

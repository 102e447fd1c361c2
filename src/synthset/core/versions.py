"""The versions of the libraries that a result depends on, as manifests record them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("synthset", "torch", "diffusers", "transformers", "open_clip_torch", "timm", "numpy", "pillow", "pyarrow")


def library_versions() -> dict[str, str]:
    """The installed version of each of LIBRARIES, by its name; nothing is imported for it."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions

"""Parts that other packages add: strategies, filters, generators and encoders, by entry points of these groups.

    [project.entry-points."synthset.strategies"]
    close_up = "pets_plus:CLOSE_UP"

A name that Synthset has itself always means its own; other packages are asked for names that it does not know, and only
the one that has the name is loaded. What it gives is code of somebody's who was installed on purpose: it is trusted as
any installed package is, and a job records its package and version.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from synthset.core.errors import ModelError, SynthsetError, UsageError, first_line, setting

Made = TypeVar("Made")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # becomes a part of flags, keys and names of files


@dataclass(frozen=True)
class PlugIn:
    """A part that a package adds.

    Attributes:
        kind: "strategy", "filter", "generator" or "encoder".
        package, version: of the distribution that declares it.
        value: the object that its entry point names.
    """

    kind: str
    name: str
    package: str
    version: str
    value: Any

    def __str__(self) -> str:
        return f"the {self.kind} '{self.name}' of the package '{self.package}' {self.version}"

    def record(self) -> dict[str, str]:
        """Its entry in a job: another version is another job."""
        return {"package": self.package, "version": self.version}

    def make(self, given: Mapping[str, Any]) -> Any:
        """What its value, a function, gives for options.

        Raises:
            UsageError: it does not take one of them.
            ModelError: it fails.
        """
        if not callable(self.value):
            raise self.is_wrong(f"a function that gives the {self.kind}")
        try:
            inspect.signature(self.value).bind(**given)
        except TypeError as error:
            names = " or ".join(setting(name) for name in given)
            raise UsageError(
                f"Expected options that {self} takes, got {names} ({first_line(error)}). Leave it out."
            ) from error
        return self.call(self.value, **given)

    def call(self, function: Callable[..., Made], *args: Any, **options: Any) -> Made:
        """What one of its functions gives. Raises ModelError, in one line, for whatever it raises but out of memory."""
        try:
            return function(*args, **options)
        except (SynthsetError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            if type(error).__name__ == "OutOfMemoryError":  # torch's: whoever asked may ask for less
                raise
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise ModelError(
                f"Expected {self} to work, it fails ({reason}). Tell those who make the package."
            ) from error

    def is_wrong(self, expected: str, got: str = "") -> UsageError:
        """The error where its entry point names, or what it names gives, something else."""
        return UsageError(
            f"Expected {expected} of {self}, got {got or type(self.value).__name__}. Tell those who make the package, "
            f"or uninstall it: pip uninstall {self.package}"
        )


def is_unicode(value: object) -> bool:
    """Whether a value is a text that can be written down.

    >>> is_unicode("a cat"), is_unicode("\\ud800"), is_unicode(None)
    (True, False, False)
    """
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


_GROUPS = {
    "strategy": "synthset.strategies",
    "filter": "synthset.filters",
    "generator": "synthset.generators",
    "encoder": "synthset.encoders",
}


def plug_in_names(kind: str) -> list[str]:
    """The names that other packages add, without loading any."""
    return sorted({point.name for point in entry_points(group=_GROUPS[kind]) if _NAME.fullmatch(point.name)})


@cache
def find_plug_in(kind: str, name: str) -> PlugIn | None:
    """The plug-in of a name that Synthset does not know; None where no package has it.

    Raises:
        UsageError: two packages have it, or the one that has it cannot be loaded; the message names them.
    """
    found = list({_origin(point): point for point in entry_points(group=_GROUPS[kind], name=name)}.items())
    if not found or not _NAME.fullmatch(name):
        return None
    if len(found) > 1:
        packages = " and ".join(f"'{package}'" for (package, _), _ in found)
        raise UsageError(
            f"Expected one package with the {kind} '{name}', got {packages}. Uninstall one of them: pip uninstall "
            f"{found[0][0][0]}"
        )
    ((package, version), point) = found[0]
    try:
        return PlugIn(kind, name, package, version, point.load())
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(
            f"Expected the {kind} '{name}' of the package '{package}' {version}, which cannot be loaded ({reason}). "
            f"Repair the package, or uninstall it: pip uninstall {package}"
        ) from error


def _origin(point: EntryPoint) -> tuple[str, str]:
    """Package and version that declare an entry point."""
    return (point.dist.name, point.dist.version) if point.dist else ("unknown", "unknown")

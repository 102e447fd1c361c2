"""Other ways to say things: short forms, and flags as the scripts of two of the papers spell them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from synthset.core.errors import UsageError, setting
from synthset.core.options import Option, check_options

log = logging.getLogger("synthset")

Values: TypeAlias = Mapping[tuple[str, ...], Any]

SAMPLING = "Model and sampling"  # heading of the help, as in create/config.py

SCRIPT = "As in the script of Shipard et al. 2023"

SAMPLES, ROUNDS = 2, 1000  # the script's --n_samples and --n_iter

_OUTPUT = {"output-dir": ("outdir",)}
_REAL = {"real": ("real-data-location",)}

SCRIPT_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "create": {"steps": ("ddim-steps",), "height": ("H",), "width": ("W",)} | _OUTPUT,
    "filter": _REAL,
    "train": {"output-dir": ("outdir", "model-path"), "epochs": ("epoch",)} | _REAL,
    "eval": {"templates": ("template",)} | _OUTPUT | _REAL,
    "tune": {"output-dir": ("outdir", "model-path"), "epochs": ("epoch",)} | _REAL,
    "diagnose": _OUTPUT | _REAL,
    "export": _OUTPUT,
    "demo": _OUTPUT,
}


@dataclass(frozen=True)
class ShortForms:
    """Shorter ways, and the script's, to say what the config of `create` says."""

    compile: Annotated[bool, Option(group=SAMPLING)] = False
    """Short form of `engine` compiled."""
    trick: Annotated[tuple[str, ...], Option(group=SCRIPT, default="none")] = ()
    """Strategies, instead of `strategy`, with the script's number of images unless `images_per_class` or `dataset` say
    one: `n_samples` times `n_iter` of a class, and of each of its domains for multi_domain."""
    n_samples: Annotated[int | None, Option(group=SCRIPT, at_least=1, default="2")] = None
    """Images of a batch, as `batch_size`: `n_iter` such batches are drawn, instead of `images_per_class`."""
    n_iter: Annotated[int | None, Option(group=SCRIPT, at_least=1, default="1000")] = None
    """Batches of each class, and of each of its domains for multi_domain."""

    def __post_init__(self) -> None:
        check_options(self)

    def strategies(self, values: Values) -> tuple[str, ...] | None:
        """The strategies, if they were named in the script's way. Raises UsageError where they were in ours too."""
        if self.trick and ("strategies",) in values:
            raise UsageError(f"Expected {setting('trick')} or {setting('strategies')}, got both. Drop one.")
        return self.trick or None

    def defaults(self, strategies: Sequence[str], values: Values, *, has_set: bool) -> dict[tuple[str, ...], Any]:
        """Number and batches of images as the script has them, where its flags were used; a warning says the number.

        Args:
            strategies: that are drawn.
            values: of the config of `create` as far as they were given, or follow from a real set, by path.
            has_set: whether a real set says the number of images where nobody else does.
        Raises:
            UsageError: a number of images in two ways, or one that means two.
        """
        is_asked = self.n_samples is not None or self.n_iter is not None
        is_given = ("images_per_class",) in values and not has_set
        if is_asked and is_given:
            raise UsageError(
                f"Expected {setting('images_per_class')} or {setting('n_samples')} with {setting('n_iter')}, got both. "
                "Drop one."
            )
        if not is_asked and (not self.trick or is_given or has_set):
            return {}
        samples, rounds = self.n_samples or SAMPLES, self.n_iter or ROUNDS
        each, domains = samples * rounds, _domains_counted(strategies, values)
        told = f"{samples:,} × {rounds:,} images of each class"
        told += f" and domain, of which there are {domains}" if domains > 1 else ""
        log.warning("As in the script of Shipard et al. 2023: %s.", told)
        defaults: dict[tuple[str, ...], Any] = {("images_per_class",): each * domains}
        return defaults | ({("batch_size",): samples} if self.n_samples is not None else {})


def _domains_counted(strategies: Sequence[str], values: Values) -> int:
    """How often the script counts its images: for each domain of multi_domain. UsageError for it among others."""
    from synthset.prompts.strategies import PromptStyle, strategy_name

    if "multi_domain" not in (names := [strategy_name(name).partition("@")[0] for name in strategies]):
        return 1
    if set(names) != {"multi_domain"}:
        raise UsageError(
            f"Expected multi_domain alone with the script's counts, which are of each domain, got {', '.join(names)}. "
            f"Give {setting('images_per_class')}, or draw it by itself."
        )
    domains, satellite = values.get(("style", "domains")), bool(values.get(("style", "satellite")))
    return len(PromptStyle(domains=tuple(domains) if domains else None, satellite=satellite).domain_list())

"""Libraries of others: whatever they raise becomes one line of ours, and what they log stays off the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any

from synthset.core.errors import ModelError, SynthsetError, first_line

# what these say when diffusers imports them, asked for or not, is about parts that nobody here uses
for _name in (
    "bitsandbytes.backends.cpu.ops",
    "diffusers.quantizers.torchao.torchao_quantizer",
    "torch.utils._pytree",  # of torchao
):
    logging.getLogger(_name).addFilter(lambda record: record.levelno >= logging.ERROR)


@contextmanager
def library_errors(problem: str, advice: str = "", kind: type[SynthsetError] = ModelError) -> Iterator[None]:
    """Whatever a library raises meanwhile, as "problem (what it says). advice" in one line.

    Our own errors pass, and so do those of lacking memory, which are met elsewhere by doing less at once.
    """
    try:
        yield
    except (SynthsetError, MemoryError):
        raise
    except Exception as error:  # each library has its own, and a model can be broken in any way
        if type(error).__name__ == "OutOfMemoryError":  # of torch, which is not imported for this
            raise
        raise kind(f"{problem} ({first_line(error)}). {advice}".rstrip()) from error


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Warnings of Hugging Face's libraries, as far as they are imported, are collected and printed nowhere; nor are
    bars, but those of downloads. What goes wrong is raised, and said once.
    """
    messages: list[str] = []
    collector = logging.Handler()
    collector.emit = lambda record: messages.append(record.getMessage())
    libraries = [name for name in ("diffusers", "huggingface_hub", "transformers") if name in sys.modules]
    modules: list[Any] = [getattr(sys.modules[name].utils, "logging", None) for name in libraries]
    with_bars = [module for module in modules if getattr(module, "is_progress_bar_enabled", bool)()]
    loggers = [logging.getLogger(name) for name in libraries]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [collector], False
        logger.setLevel(logging.WARNING)
    for module in with_bars:
        module.disable_progress_bar()
    try:
        yield messages
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
        for module in with_bars:
            module.enable_progress_bar()


class _NoPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def spare_pandas() -> None:
    """Have pyarrow import pandas for a table of pandas alone.

    Else its first array does, which might be one of pandas: half of the time of a command that finds nothing to do.
    What asks pyarrow for pandas gets it still.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    sys.meta_path.insert(0, finder := _NoPandas())
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)

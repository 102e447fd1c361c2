"""Files of ours with a bit flipped, or cut off: noticed in one line that names the file, or of no consequence.

Of a cache, whose vectors can be had again, a damaged file may be left aside with a warning. What comes of a read must
otherwise be what came of the whole file, and a read that is refused changes nothing.
"""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path

from edited_files import home, put_back
from fault_report import FaultReport, contents
from own_files import OwnFile, build

from synthset.core.errors import SynthsetError


def run(flips: int, cuts: int) -> list[FaultReport]:
    """So many bit flips and so many cuts of each file that something of ours writes."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        return [_damage(own, draw, flips, cuts) for own in build(Path(name)) if own.record is not dict]


def _damage(own: OwnFile, draw: random.Random, flips: int, cuts: int) -> FaultReport:
    folder, lost, noticed = home(own.path), [], 0
    whole, data = contents(folder), own.path.read_bytes()
    expected = own.read()
    put_back(folder, whole)
    times = {place for found in re.finditer(rb'"seconds": [^,\n}]+', data) for place in range(*found.span())}
    places = [place for place in range(len(data)) if place not in times]  # no checksum is about those
    damaged = [_flipped(data, 8 * draw.choice(places) + draw.randrange(8)) for _ in range(flips)]
    damaged += [(f"cut at {size}", data[:size]) for size in (draw.randrange(len(data)) for _ in range(cuts))]
    for what, changed in damaged:
        own.path.write_bytes(changed)
        try:
            if own.read() != expected:
                lost.append(f"{what}: another result without a word")
        except SynthsetError as error:
            noticed += 1
            lost += [f"{what}: {fault}" for fault in _complaints(own, folder, str(error), whole)]
        except Exception as error:
            lost.append(f"{what}: Traceback: {error!r}"[:300])
        put_back(folder, whole)
    total = flips + cuts
    return FaultReport(f"damaged: {own.name}", total, total, total - noticed, failed=noticed, lost=tuple(lost[:20]))


def _flipped(data: bytes, bit: int) -> tuple[str, bytes]:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return f"bit {bit}, {data[bit // 8 - 30 : bit // 8 + 30]!r}", bytes(changed)


def _complaints(own: OwnFile, folder: Path, message: str, whole: dict[Path, bytes | None]) -> list[str]:
    """What is wrong with how damage is refused."""
    complaints = [] if own.path.name in message or str(folder) in message else [f"no file is named: {message[:200]!r}"]
    complaints += [f"no line of words: {message[:200]!r}"] if "\n" in message or len(message) > 700 else []
    after = {path: data for path, data in contents(folder).items() if path != own.path}
    before = {path: data for path, data in whole.items() if path != own.path}
    return complaints + (["other files were changed"] if after != before else [])

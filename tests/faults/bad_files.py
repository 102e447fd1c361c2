"""Broken tars, manifests and configs: no traceback, nothing written outside the run folder.

Synthset reads no tars anywhere. What is tested is that one is refused wherever a path can be given, unopened.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import tarfile
import tempfile
from pathlib import Path

from fault_report import FAKE_MODEL, FaultReport, changes, contents, run_command

import synthset
from synthset.images.decoding import encode
from synthset.testing import FakeGenerator

TARS = 6
CONFIG = """\
images_per_class: 5
create:
  classes: [yes, no]
  strategy: [base, random_guidance]
  guidance_scale: 1:5
  resize: 8
  image_format: png
"""
# what chance would not find
NASTY_CONFIGS = (
    b"[" * 100_000,
    b"a: " + b"{a: " * 50_000,
    b"create: &a [*a]\n",
    b"classes: &a [*a]\n",
    b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in b"bcdefghi")
    + b"create: *i\n",
    b"!!python/object/apply:os.system ['exit 3']\n",
    b"a: !!python/name:os.system\n",
    b"? [a, b]\n: c\n",
    b"a: 1\na: 2\n",
    b"\xff\xfe\x00",
    b"%YAML 9.9\n---\na: 1\n",
    b"--- 1\n--- 2\n",
)
NASTY_MANIFESTS = (b"[" * 100_000, b'{"a":' * 50_000, b"null", b"\xff" * 300, b"1e999", b'{"format_version": 1e999}')


def run(count: int) -> list[FaultReport]:
    """Six broken tars, and `count` manifests and configs, half of each."""
    lost: list[str] = []
    ok = refused = 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        lost += bad_tars(scratch / "tars")
        for fuzz in (fuzz_manifests, fuzz_configs):
            taken, faults = fuzz(scratch, count // 2)
            ok, refused, lost = ok + taken, refused + count // 2 - taken, lost + faults
    faults, refused = TARS + count, TARS + refused
    return [FaultReport("broken tars, manifests, configs", faults, faults, ok, 0, refused, tuple(lost[:20]))]


def bad_tars(scratch: Path) -> list[str]:
    """What is wrong with how six tars are refused wherever a path of images or of a model can be given."""
    scratch.mkdir()
    whole = tar({"cat/0.png": encode_noise(), "../evil.png": b"x", "/tmp/evil.png": b"x"})
    tars = (whole, b"", whole[:300], whole[:-1500], bytes(10_240), random.Random(0).randbytes(10_240))
    faults = []
    for number, data in enumerate(tars):
        path = scratch / f"{number}.tar"
        path.write_bytes(data)
        before = contents(scratch.parent)
        out = ("--output-dir", scratch / "out")
        for words in (
            ("export", path, *out),
            ("train", path, *out),
            ("create", "--classes", "one", "--generator", path, *out),
            ("create", "--classes", "one", "--initial-images", path, *out),
        ):
            faults += [f"{words[0]} {path.name}: {fault}" for fault in [run_command(*words).fault(1, 2)] if fault]
        faults += changes(before, scratch.parent)
    return faults


def tar(members: dict[str, bytes]) -> bytes:
    """A tar of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def encode_noise() -> bytes:
    """A small PNG."""
    import numpy as np

    return encode(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))


def fuzz_manifests(scratch: Path, count: int) -> tuple[int, list[str]]:
    """How many broken manifests still read, and what was wrong with the rest: read by export, resumed by create."""
    folder, out = scratch / "pets", scratch / "out"
    synthset.create(["cat", "dog"], folder, generator=FakeGenerator(), images_per_class=2)
    whole, kept = (folder / "manifest.json").read_bytes(), contents(folder)
    chance, taken, faults = random.Random(1), 0, []
    for number in range(count):
        data = NASTY_MANIFESTS[number] if number < len(NASTY_MANIFESTS) else broken_json(whole, chance)
        (folder / "manifest.json").write_bytes(data)
        words: tuple[object, ...] = ("export", folder, "--output-dir", out)
        if number % 4 == 3:
            words = ("create", "--classes", "cat", "dog", *FAKE_MODEL, "--images-per-class", 2, "--outdir", folder)
        ran = run_command(*words, generator=FakeGenerator())
        taken += ran.code == 0
        if fault := ran.fault(0, 1, 2):
            faults.append(f"{words[0]} with manifest {data[:60]!r} ({number}): {fault}")
        if set(scratch.iterdir()) - {folder, out, scratch / "tars"}:
            faults.append(f"manifest {number} had something written outside")
            return taken, faults
        shutil.rmtree(out, ignore_errors=True)
        for path, content in kept.items():
            if content is not None:
                path.write_bytes(content)
    return taken, faults


def broken_json(whole: bytes, chance: random.Random) -> bytes:
    """Random bytes, flipped bytes, or a value of another kind in its place."""
    kind = chance.randrange(3)
    if kind == 0:
        return chance.randbytes(chance.randrange(400))
    if kind == 1:
        return flipped(whole, chance)
    manifest = json.loads(whole)
    places = [(manifest, key) for key in manifest]
    places += [(manifest[part], key) for part in ("job", "accounting") for key in manifest[part]]
    where, key = chance.choice(places)
    where[key] = chance.choice((None, [], {}, "", "../../x", -1, 1e99, [[]], {"a": None}, True, "x" * 5000))
    return json.dumps(manifest).encode()


def flipped(whole: bytes, chance: random.Random) -> bytes:
    """The bytes with some of them changed, and perhaps cut."""
    data = bytearray(whole)
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])


def fuzz_configs(scratch: Path, count: int) -> tuple[int, list[str]]:
    """How many broken configs are still taken by a dry run, and what was wrong with the rest."""
    folder = scratch / "configs"
    folder.mkdir()
    chance, taken, faults = random.Random(2), 0, []
    for number in range(count):
        whole = CONFIG.encode()
        data = flipped(whole, chance) if chance.randrange(2) else chance.randbytes(chance.randrange(300))
        data = NASTY_CONFIGS[number] if number < len(NASTY_CONFIGS) else data
        (folder / "config.yaml").write_bytes(data)
        words = ("create", *FAKE_MODEL, "--dry-run", "--outdir", folder / "set", "--config", folder / "config.yaml")
        ran = run_command(*words, generator=FakeGenerator())
        taken += ran.code == 0
        if fault := ran.fault(0, 1, 2):
            faults.append(f"config {data[:60]!r} ({number}): {fault}")
        if {path.name for path in folder.iterdir()} != {"config.yaml"}:
            faults.append(f"config {number} had something written by a dry run")
            return taken, faults
    return taken, faults

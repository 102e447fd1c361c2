"""40 odd kinds of images, half of them none at all: read as RGB, or refused in one line that names the file."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fault_report import FaultReport, changes, contents, run_command
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synthset.core.errors import DataError
from synthset.images.decoding import encode
from synthset.images.opening import load_path

NOISE = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated(orientation: int) -> bytes:
    """A JPEG that says how it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(NOISE), "JPEG", exif=exif)


def png(width: int, height: int, extra: bytes = b"") -> bytes:
    """A whole PNG of black and white, which is small however large the image is."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = bytes((1 + -(-width // 8)) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND")


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def archive() -> bytes:
    """A ZIP file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("../evil.png", b"x")
    return buffer.getvalue()


def palette() -> Image.Image:
    """An image of two colours, by number."""
    image = Image.new("P", (4, 4))
    image.putpalette([0, 0, 255, 255, 0, 0])
    return image


PICTURE, WEBP = Image.fromarray(NOISE), encode(NOISE, "webp")
MANY = {"save_all": True, "append_images": [Image.fromarray(NOISE[::-1])]}
TEXT = PngInfo()
TEXT.add_text("comment", "<script>alert(1)</script>" * 100)

GOOD: dict[str, bytes] = {
    "a.png": encode(NOISE),
    "b.jpg": encode(NOISE, "jpeg"),
    "c.webp": WEBP,
    "grey.png": encode(NOISE[..., 0]),
    "bits.png": saved(PICTURE.convert("1"), "PNG"),
    "palette.png": saved(palette(), "PNG"),
    "transparent-palette.png": saved(palette(), "PNG", transparency=1),
    "grey-alpha.png": saved(PICTURE.convert("LA"), "PNG"),
    "rgba.webp": saved(PICTURE.convert("RGBA"), "WEBP"),
    "16-bit.png": saved(Image.fromarray(np.array([[0, 25700, 65535]], np.uint16)), "PNG"),
    "cmyk.jpg": saved(PICTURE.convert("CMYK"), "JPEG"),
    "exif-6.jpg": rotated(6),
    "exif-8.jpg": rotated(8),
    "exif-nonsense.jpg": rotated(99),
    "progressive.JPEG": saved(PICTURE, "JPEG", progressive=True),
    "animated.webp": saved(PICTURE, "WEBP", **MANY),
    "animated.png": saved(PICTURE, "PNG", **MANY),
    "jpeg-named.png": encode(NOISE, "jpeg"),
    "sliver.png": saved(Image.new("RGB", (1, 5000)), "PNG"),
    "text.png": saved(PICTURE, "PNG", pnginfo=TEXT),
}
BAD: dict[str, bytes | Callable[[Path], None]] = {
    "empty.png": b"",
    "magic.png": b"\x89PNG\r\n\x1a\n",
    "truncated.png": encode(NOISE)[:-60],
    "truncated.jpg": encode(NOISE, "jpeg")[:-100],
    "truncated.webp": WEBP[:-40],
    "gif.png": saved(PICTURE, "GIF"),
    "bmp.png": saved(PICTURE, "BMP"),
    "tiff.jpg": saved(PICTURE, "TIFF"),
    "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "pdf.png": b"%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\n",
    "zip.webp": archive(),
    "pickle.png": b"\x80\x04cposix\nsystem\n(X\x04\x00\x00\x00exit\x85R.",
    "200-megapixels.png": png(20_000, 10_000),
    "90-megapixels.png": png(10_000, 9_000),
    "zero-wide.png": png(0, 5),
    "text-bomb.png": png(4, 4, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))),
    "noise.jpg": np.random.default_rng(1).bytes(2000),
    "link-that-leaves.png": lambda path: path.symlink_to("/etc/hostname"),
    "pipe.png": lambda path: os.mkfifo(path),
}


def run(count: int) -> list[FaultReport]:
    """The first `count` kinds, good and bad in turn, each in an image folder of two classes."""
    kinds = [kind for pair in zip(GOOD, BAD, strict=True) for kind in pair][:count]
    lost, ok = [], 0
    with tempfile.TemporaryDirectory() as name:
        for number, kind in enumerate(kinds):
            folder = Path(name) / f"{number}"
            for label in ("cat", "dog"):
                (folder / label).mkdir(parents=True)
                for index in range(2):
                    (folder / label / f"{index}.png").write_bytes(encode(NOISE))
            data = GOOD.get(kind, BAD.get(kind))
            if isinstance(data, bytes):
                (folder / "cat" / kind).write_bytes(data)
            elif data is not None:
                data(folder / "cat" / kind)
            if kind in GOOD:
                ok += 1
                lost += [f"{kind}: {fault}" for fault in misread(folder)]
            else:
                lost += [f"{kind}: {fault}" for fault in accepted(folder, kind)]
    return [FaultReport("odd and bad images", len(kinds), len(kinds), ok, failed=len(kinds) - ok, lost=tuple(lost))]


def misread(folder: Path) -> list[str]:
    """What is wrong with how a good image is read."""
    images = load_path(folder)
    try:
        modes = {images.image(i).mode for i in range(len(images))}
    except DataError as error:
        return [str(error)]
    return [] if modes == {"RGB"} and len(images) == 5 else [f"{len(images)} images of modes {modes}"]


def accepted(folder: Path, kind: str) -> list[str]:
    """What is wrong with how a bad image is refused by a training, which reads all images."""
    before = contents(folder.parent) if kind != "pipe.png" else {}
    out = folder / "model"
    ran = run_command("train", folder, "--model", "small_cnn", "--epochs", 1, "--device", "cpu", "--output-dir", out)
    faults = [ran.fault(1)] if ran.fault(1) else []
    if kind not in ran.stderr:
        faults.append(f"the file is not named: {ran.stderr[-200:]!r}")
    return faults + (changes(before, folder.parent) if before else [])

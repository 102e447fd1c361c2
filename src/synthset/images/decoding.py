"""Single images: safe decoding, resizing, encoding.

Only PNG, JPEG and WebP are opened, truncated files and decompression bombs are refused, and all images
come out as RGB, upright. Resizing is on PIL images so that a file looks the same wherever it is made.
"""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image, ImageOps

from synthset.core.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP")
_SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WEBP": rb"RIFF....WEBP",
    "a GIF": rb"GIF8",
    "a BMP": rb"BM......\0\0",
    "a TIFF": rb"II\*\0|MM\0\*|II\+\0|MM\0\+",
    "a HEIC": rb"....ftyp(hei|hev|mif1|msf1)",
    "an AVIF": rb"....ftypavi",
    "a JPEG XL": rb"\xff\n|\0\0\0\x0cJXL ",
    "a JPEG 2000": rb"\0\0\0\x0cjP ",
    "a PSD": rb"8BPS",
    "a PDF": rb"%PDF",
    "a ZIP archive": rb"PK\x03\x04",
    "a gzip archive": rb"\x1f\x8b",
    "a NumPy array": rb"\x93NUMPY",
}
_TEXTS = {
    "an SVG": (b"<svg", b"<?xml"),
    "a web page": (b"<!doctype html", b"<html"),
    "a pointer of Git LFS, not the image itself": b"version https://git-lfs",
}
MAX_PIXELS = 89_000_000  # a larger image is an accident or an attack; PIL warns from just above this


def decode(data: bytes) -> Image.Image:
    """Decode PNG, JPEG or WebP bytes to an upright RGB image.

    Transparent parts are laid on white and 16-bit grey is scaled to 8 bits, as a viewer would show them.
    Raises:
        DataError: another format, a damaged or truncated file, or more than MAX_PIXELS.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{image.width}×{image.height} pixels, at most {MAX_PIXELS:,} are accepted.")
            image.load()
            return to_rgb(image)
    except DataError:
        raise
    except Exception as error:  # what a decoder raises on damaged bytes depends on where they are damaged
        raise DataError(f"Expected a whole {', '.join(FORMATS)} file, got {what_is(data)}.") from error


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels as the file says, without its pixels. Raises DataError where it says none."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.size
    except Exception as error:
        raise DataError(f"Expected a whole {', '.join(FORMATS)} file, got {what_is(data)}.") from error


def what_is(data: bytes) -> str:
    """What a file is that does not decode, in words.

    >>> what_is(b"GIF89a"), what_is(b"<html>"), what_is(bytes(9))
    ('a GIF', 'a web page', '9 bytes of zeros')
    """
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for kind, pattern in _SIGNATURES.items():
        if re.match(pattern, data, re.DOTALL):
            return f"a damaged {kind}" if kind in FORMATS else kind
    for kind, beginning in _TEXTS.items():
        if start.startswith(beginning):
            return kind
    if not data.strip(b"\0"):
        return f"{len(data)} bytes of zeros" if data else "an empty file"
    is_text = all(byte >= 32 or byte in b"\t\r\n" for byte in data[:512])
    return f"{len(data)} bytes of {'text' if is_text else 'no image'}"


def encode(pixels: np.ndarray, format: str = "png", quality: int = 95) -> bytes:
    """Encode uint8 (h, w, 3) pixels as `png` (lossless), `jpeg` or `webp` (at `quality`, 1..100)."""
    buffer = io.BytesIO()
    options = {"compress_level": 4} if format == "png" else {"quality": quality}
    Image.fromarray(pixels, "RGB" if pixels.ndim == 3 else "L").save(buffer, format, **options)
    return buffer.getvalue()


def resize(image: Image.Image, size_px: int | tuple[int, int], antialias: bool = True) -> Image.Image:
    """Resize to `size_px` (a side, or width × height); the aspect ratio follows the target.

    Bicubic. Without `antialias` every output pixel samples four source pixels, however small the output
    is, as older resizing code did: Shipard et al. 2023, section 5.3, use it for EuroSAT.
    """
    target = (size_px, size_px) if isinstance(size_px, int) else size_px
    if image.size == target:
        return image
    if antialias:
        return image.resize(target, Image.Resampling.BICUBIC)
    # PIL's transform interpolates at a point, without the support that shrinking needs
    scale_x, scale_y = image.width / target[0], image.height / target[1]
    return image.transform(target, Image.Transform.AFFINE, (scale_x, 0, 0, 0, scale_y, 0), Image.Resampling.BILINEAR)


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as a viewer would show it: upright, what is transparent on white, 16-bit grey as 8 bits."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")

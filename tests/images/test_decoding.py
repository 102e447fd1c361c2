"""Decoding is for untrusted files: every image comes out upright RGB, or as one clear DataError."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from synthset.core.errors import DataError
from synthset.images.decoding import MAX_PIXELS, decode, encode, resize

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 12, width: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"

BAD = {
    "empty": b"",
    "one byte": b"\x89",
    "text": b"not an image at all",
    "png magic only": b"\x89PNG\r\n\x1a\n",
    "truncated png": encode(noise())[:-60],
    "truncated jpeg": encode(noise(), "jpeg")[:-100],
    "truncated webp": encode(noise(), "webp")[:-40],
    "gif": saved(Image.new("RGB", (4, 4)), "GIF"),
    "bmp": saved(Image.new("RGB", (4, 4)), "BMP"),
    "tiff": saved(Image.new("RGB", (4, 4)), "TIFF"),
    "eps renamed .png": EPS,
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "200 megapixels": png_of_size(20_000, 10_000),
    "between our limit and PIL's": png_of_size(10_000, 9_000),
    "zero wide": png_of_size(0, 5),
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_files_give_one_clear_line(data):
    with pytest.raises(DataError) as caught:
        decode(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_damaged_bytes_never_give_another_error(kind):
    whole = encode(noise(), kind)
    damage = random.Random(1)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(3):
            data[damage.randrange(len(data))] = damage.randrange(256)
        try:
            assert decode(bytes(data[: damage.randint(1, len(data))])).mode == "RGB"
        except DataError:
            refused += 1
    assert refused > 50


def test_png_and_webp_keep_shape_and_png_keeps_pixels():
    pixels = noise()
    np.testing.assert_array_equal(np.asarray(decode(encode(pixels))), pixels)
    for kind in ("jpeg", "webp"):
        assert decode(encode(pixels, kind)).size == (10, 12)


def test_grey_pixels_encode_as_grey():
    grey = noise()[..., 0]
    image = decode(encode(grey))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image)[..., 1], grey)


def test_cmyk_becomes_rgb():
    image = decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - RED).max() < 60


def test_16_bit_grey_is_scaled_not_clipped():
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    assert np.asarray(decode(saved(Image.fromarray(deep), "PNG")))[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_rotation_is_applied(kind):
    lying = Image.new("RGB", (16, 8), WHITE)
    lying.paste(RED, (0, 0, 8, 8))  # red on the left, to be turned by 90° clockwise: red on top
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode(saved(lying, kind, exif=exif, quality=95))
    assert upright.size == (8, 16)
    assert np.abs(np.asarray(upright)[2, 4].astype(int) - RED).max() < 20
    assert np.asarray(upright)[13, 4].min() > 230


def test_transparency_is_laid_on_white():
    rgba = Image.new("RGBA", (2, 1), (0, 0, 255, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 0))
    assert [decode(saved(rgba, "PNG")).getpixel((x, 0)) for x in (0, 1)] == [BLUE, WHITE]

    palette = Image.new("P", (2, 1))
    palette.putpalette([*BLUE, *RED])
    palette.putpixel((1, 0), 1)
    assert [decode(saved(palette, "PNG", transparency=1)).getpixel((x, 0)) for x in (0, 1)] == [BLUE, WHITE]

    half = Image.new("LA", (1, 1), (0, 0))
    assert decode(saved(half, "PNG")).getpixel((0, 0)) == WHITE


def test_accepted_sizes_stay_below_the_size_at_which_pil_warns():
    assert Image.MAX_IMAGE_PIXELS is not None
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS


def test_resize_with_antialiasing_averages_and_without_it_samples():
    stripes = Image.fromarray(np.tile(np.array([0, 255] * 32, np.uint8), (64, 1))).convert("RGB")
    smooth = np.asarray(resize(stripes, 8))
    assert smooth.shape == (8, 8, 3)
    assert np.abs(smooth.astype(int) - 127).max() < 20

    blocks = np.zeros((64, 64), np.uint8)
    blocks[::8] = 255  # one bright line in eight, which point samples between them never meet
    lines = Image.fromarray(blocks).convert("RGB")
    assert np.asarray(resize(lines, 8, antialias=False)).max() == 0
    assert np.asarray(resize(lines, 8, antialias=True)).max() > 10


def test_resize_takes_width_and_height_and_keeps_an_image_of_that_size():
    image = Image.fromarray(noise())
    assert resize(image, (5, 7)).size == (5, 7)
    assert resize(image, (10, 12)) is image

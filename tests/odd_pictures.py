"""Pictures in files that a careless reader gets wrong: the same picture, told otherwise than in eight bits of RGB."""

import numpy as np
from PIL import Image

SIDE_TAG = 0x0112  # EXIF: which side is up
ON_ITS_SIDE = 6


def deep(picture, folder):
    """Grey of sixteen bits."""
    grey = np.asarray(picture.convert("L"), np.uint16) * 257
    return _save(Image.fromarray(grey), folder)


def transparent(picture, folder):
    """In the alpha channel alone, over black."""
    out = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    out.putalpha(Image.eval(picture.convert("L"), lambda value: 255 - value))
    return _save(out, folder)


def half_grey(picture, folder):
    """The same in grey."""
    out = Image.new("LA", picture.size, (0, 0))
    out.putalpha(Image.eval(picture.convert("L"), lambda value: 255 - value))
    return _save(out, folder)


def palette(picture, folder):
    """Few colours, of which the lightest is transparent."""
    out = picture.convert("L").quantize(16)
    lightest = int(np.asarray(out.getpalette()).reshape(-1, 3)[:16].sum(1).argmax())
    return _save(out, folder, transparency=lightest)


def lying(picture, folder):
    """On its side, as its EXIF says."""
    exif = Image.Exif()
    exif[SIDE_TAG] = ON_ITS_SIDE
    return _save(picture.transpose(Image.Transpose.ROTATE_90), folder, exif=exif)


def printed(picture, folder):
    """In the colours of print, as JPEG."""
    path = folder / "odd.jpg"
    picture.convert("CMYK").save(path, quality=95)
    return path


ODD_PICTURES = {make.__name__: make for make in (deep, transparent, half_grey, palette, lying, printed)}


def _save(picture, folder, **options):
    path = folder / "odd.png"
    picture.save(path, **options)
    return path

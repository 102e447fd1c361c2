"""A sketch of files says which share of others is among them; one from a file is read strictly."""

import numpy as np
import pytest

from synthset.core.errors import DataError
from synthset.core.json_records import as_record
from synthset.images.sketch import KEPT, Sketch


def test_a_share_of_many_files_is_estimated():
    files = np.random.default_rng(0).integers(0, 2**64, 20_000, np.uint64)
    sketch = Sketch.of(files[:8000], files[8000:10_000])
    assert len(sketch.hashes) == KEPT
    assert abs(sketch.share_in(files[5000:15_000]) - 0.5) < 0.05
    assert sketch.share_in(files[10_000:]) == 0


@pytest.mark.parametrize("hashes", [["x" * 16], [""], ["0" * 17], ["\u0661" * 16], ["-" + "0" * 15]])
def test_hashes_that_are_none_are_refused(hashes):
    assert as_record(Sketch, {"images": 1, "hashes": ["00000000000000ff"]}, "'it'", "") == Sketch(
        1, ("00000000000000ff",)
    )
    with pytest.raises(DataError, match="'hashes' that are none"):
        as_record(Sketch, {"images": 1, "hashes": hashes}, "'it'", "")

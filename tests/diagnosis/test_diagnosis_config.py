import pytest

from synthset.core.errors import UsageError
from synthset.core.options import declared_options
from synthset.diagnosis.config import DiagnoseConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query_share": 0.0}, "Expected query_share above 0 and below 1, got 0."),
        ({"query_share": float("nan")}, "Expected query_share as a finite number, got nan."),
        ({"tsne_images": -1}, "Expected tsne_images of at least 0, got -1."),
        ({"seed": 2**32}, r"Expected seed of at least 0 and below 2\^32, got 2\^32."),
        ({"by_strategy": "yes"}, "Expected by_strategy as true or false, got 'yes'."),
    ],
)
def test_a_value_out_of_bounds_is_named(options, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        DiagnoseConfig(**options)


def test_every_option_is_explained():
    assert all(item.text.endswith(".") for item in declared_options(DiagnoseConfig))

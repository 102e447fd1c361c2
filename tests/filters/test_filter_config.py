"""Options of filters: declared once, each read by a filter that its text names."""

import pytest

from synthset.core.errors import UsageError
from synthset.core.options import declared_options
from synthset.encoders.clip import ENCODERS
from synthset.filters import FILTERS, FilterConfig, filter_dataset

OPTIONS = {option.name: option for option in declared_options(FilterConfig)}


def test_every_option_has_a_text_and_a_reader_that_the_text_names():
    for option in OPTIONS.values():
        readers = [name for name, known in FILTERS.items() if option.name in known.reads]
        assert option.text
        assert all(name in option.text for name in readers)
        assert readers or option.name in ("encoder", "device")  # all filters read these


def test_the_encoders_are_listed():
    assert all(name in OPTIONS["encoder"].help for name in ENCODERS)


def test_every_filter_has_a_summary():
    assert all(known.summary for known in FILTERS.values())


def test_what_cannot_be_is_refused_at_once():
    with pytest.raises(UsageError, match=r"hash_distance in 0\.\.64, got 65"):
        FilterConfig(hash_distance=65)
    with pytest.raises(UsageError, match="Expected threshold or keep_share, got both"):
        FilterConfig(threshold=0.5, keep_share=0.5)
    assert FilterConfig(templates=["a {}"]).templates == ("a {}",)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("method", "option"), [("clip", {"hash_distance": 8}), ("real", {"similarity": 0.5})])
def test_an_option_that_no_filter_reads_is_refused_before_anything_is_read(method, option, tmp_path):
    (name,) = option
    with pytest.raises(UsageError, match=f"the filter duplicates with {name}, got {method}"):
        filter_dataset(tmp_path / "nothing", [method], **option)

import pytest

from small_datasets import make


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Twenty images of two classes and two strategies, in three shards; no test changes them."""
    folder = tmp_path_factory.mktemp("there") / "pets"
    make(folder)
    return folder

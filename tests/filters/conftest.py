import pytest
from filtered_pets import make


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pets(tmp_path):
    """20 images each of two classes, by two strategies."""
    return make(tmp_path / "pets")

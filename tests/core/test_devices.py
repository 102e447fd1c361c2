"""Devices by name."""

import pytest

from synthset.core.devices import choose_device
from synthset.core.errors import UsageError


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")
    for name in ("abacus", "cuda:99"):
        with pytest.raises(UsageError, match="cannot be used"):
            choose_device(name)

import huggingface_hub
import pytest
from fake_hub import TOKEN, serving
from huggingface_hub import constants


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # whose servers are no part of this hub
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving() as hub:
        yield hub
    huggingface_hub.close_session()

import pytest
import torch

from tiny_models import build_stable_diffusion


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small only wait for a second thread, for seconds where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A Stable Diffusion of random weights that draws 32 px; who changes it works on a copy."""
    return build_stable_diffusion(tmp_path_factory.mktemp("checkpoint") / "tiny")

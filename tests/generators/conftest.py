import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small only wait for a second thread, for seconds where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

import os

import pytest

# One thread a process: two test processes share two cores, and small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for a hub fails at once
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """One finished training, which many tests compare with and none may change."""
    from bars import CONFIG, make_set
    from synthset.classifiers.train import train_classifier

    return train_classifier(make_set(), CONFIG, tmp_path_factory.mktemp("finished") / "model")

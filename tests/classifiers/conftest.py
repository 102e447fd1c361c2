"""One finished training, which many tests compare with and none may change."""

import pytest

from bars import CONFIG, make_set
from synthset.classifiers.train import train_classifier


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "model"
    return train_classifier(make_set(), CONFIG, folder)

import logging
import os
from pathlib import Path

import pytest

# One thread a process: two test processes share two cores, and small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for a hub fails at once
os.environ["TOKENIZERS_PARALLELISM"] = "false"

collect_ignore_glob = ["*conftest.py"]  # for doctests, of which there are none, and all have one name

# Files of half a minute or more begin first, so that the two processes end together.
LONGEST = ("test_cluster", "test_distributed", "test_executors", "test_demo", "test_whole_job", "test_ray_is_closed")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """The test in an empty folder, with a cache of its own; the switches of the process are put back."""
    from synthset.core import progress

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHSET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(progress, "_enabled", progress._enabled)
    logger = logging.getLogger("synthset")
    level = logger.level
    yield tmp_path
    logger.setLevel(level)


@pytest.fixture
def run(capsys):
    """Run a command line; gives the exit code, stdout and stderr."""
    from synthset.cli import main

    def run_line(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run_line


@pytest.fixture
def refuse(run):
    """Run a line that must fail: one line on stderr, nothing on stdout, not a byte changed below this folder."""
    from outcomes import contents, the_error

    def refuse_line(*words, code=2):
        before = contents(Path())
        got, out, err = run(*words)
        assert (got, out) == (code, ""), err
        assert contents(Path()) == before
        return the_error(err)

    return refuse_line


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A random Stable Diffusion checkpoint that draws 16 px."""
    from tiny_models import build_stable_diffusion

    return build_stable_diffusion(tmp_path_factory.mktemp("models") / "tiny", sample_size=4)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """One finished training, which many tests compare with and none may change."""
    from bars import CONFIG, make_set
    from synthset.classifiers.train import train_classifier

    return train_classifier(make_set(), CONFIG, tmp_path_factory.mktemp("finished") / "model")

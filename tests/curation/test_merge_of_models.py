"""Datasets of two models in one: said on the card, kept in the manifest, and never taken for one model's."""

from dataclasses import replace

import pytest

from small_datasets import make
from synthset.curation.merge import merge
from synthset.dataset.card import licences
from synthset.dataset.reader import open_dataset
from synthset.dataset.suited_encoder import model_of
from synthset.testing import FakeGenerator


class Other(FakeGenerator):
    """Another model, whose licence is known."""

    @property
    def config(self):
        return replace(super().config, model="CompVis/stable-diffusion-v1-4", weights_hash="1" * 64)


@pytest.fixture
def mixed(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b", generator=Other(), seed=9)
    return merge([tmp_path / "a", tmp_path / "b"], tmp_path / "m")


def test_the_card_names_both_models_and_both_licences(mixed):
    assert mixed.generators == ("fake", "CompVis/stable-diffusion-v1-4")
    card = (mixed.folder / "README.md").read_text(encoding="utf-8")
    assert licences(open_dataset(mixed.folder)) == ["other", "creativeml-openrail-m"]
    assert "license:\n- other\n- creativeml-openrail-m\n" in card
    assert "**Model of `a`:** `fake`" in card
    assert "**Model of `b`:** `CompVis/stable-diffusion-v1-4`" in card


def test_it_counts_as_no_single_model_and_nothing_is_copied_from_it(mixed, tmp_path, caplog):
    assert model_of(str(mixed.folder)) == "fake + CompVis/stable-diffusion-v1-4"
    result = make(tmp_path / "c", reuse=(str(mixed.folder),))
    assert result.copied == 0
    assert "its images are drawn otherwise" in caplog.text

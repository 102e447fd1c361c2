"""Options of tuning: declared once, checked when they are given, and as files of before have them."""

import json

import pytest

from synthset.core.errors import UsageError
from synthset.core.options import declared_options, job_of
from synthset.tuning.config import METHODS, ORDERS, USES_OF_SHOTS, TuneConfig
from synthset.tuning.losses import LOSSES

OPTIONS = {option.name: option for option in declared_options(TuneConfig)}


def test_every_field_is_an_option_with_a_text():
    assert all(option.text for option in OPTIONS.values())
    flags = [flag for option in OPTIONS.values() for flag in option.flags]
    assert len(set(flags)) == len(flags) == 29
    assert {"strategy", "template", "random-start", "unfreeze-batch-norm", "temperature", "soft-share"} <= set(flags)


@pytest.mark.parametrize(
    ("field", "entries"), [("use_of_shots", USES_OF_SHOTS), ("order", ORDERS), ("loss", LOSSES), ("method", METHODS)]
)
def test_the_texts_name_all_that_can_be_chosen(field, entries):
    assert all(name in OPTIONS[field].help and entry.summary for name, entry in entries.items())


def test_names_in_another_spelling():
    config = TuneConfig(use_of_shots="real-filtering", order="syn-then-real", loss="SCE", templates=["a {}"])
    assert (config.use_of_shots, config.order, config.loss) == ("real_filtering", "syn_then_real", "sce")
    assert config.templates == ("a {}",)


def test_a_value_that_cannot_be_is_refused_at_once():
    with pytest.raises(UsageError, match=r"temperature above 0, got 0\."):
        TuneConfig(temperature=0.0)
    with pytest.raises(UsageError, match="seed of at least 0"):
        TuneConfig(seed=-1)


def test_the_job_is_what_folders_of_before_hold():
    names = (
        "clip method templates loss soft_share temperature text_initialisation shots strategy order epochs "
        "steps_per_epoch batch_size real_batch_size learning_rate encoder_learning_rate weight_decay synthetic_weight "
        "real_weight max_grad_norm encoder_share freeze_batch_norm augmentation validation_fraction context_length "
        "context_words seed dtype"
    )
    job = job_of(TuneConfig(device="cpu"))
    assert list(job) == names.split()
    assert job == job_of(TuneConfig())
    assert json.loads(json.dumps(job))["templates"] == []

import numpy as np
import pytest
import torch
from tuning_bars import encoder, synthetic

from synthset.core.errors import UnknownNameError
from synthset.encoders.embed import embed_classes, embed_images
from synthset.encoders.templates import TEMPLATES
from synthset.tuning.head import random_head, resolve_templates, zero_shot_head
from synthset.tuning.losses import soft_cross_entropy
from synthset.tuning.zero_shot import zero_shot_logits


def log_softmax(logits):
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def test_the_head_begins_as_zero_shot_clip():
    clip = encoder()
    classes = embed_classes(synthetic().class_names, clip)
    vectors = embed_images(synthetic(), clip)
    state = torch.random.get_rng_state()
    head = zero_shot_head(classes, clip.logit_scale)
    assert torch.equal(torch.random.get_rng_state(), state)
    expected = zero_shot_logits(vectors, classes, clip.logit_scale)
    torch.testing.assert_close(head(vectors), expected, atol=1e-5, rtol=0)
    assert torch.equal(head(vectors).argmax(1), expected.argmax(1))
    assert not head.bias.any()
    assert head.weight.requires_grad


def test_a_random_head_follows_from_its_seed():
    state = torch.random.get_rng_state()
    first, again, other = random_head(3, 16, 1), random_head(3, 16, 1), random_head(3, 16, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)


@pytest.mark.parametrize(("share", "temperature"), [(0.5, 2.0), (0.0, 2.0), (1.0, 1.0), (0.3, 7.0)])
def test_soft_cross_entropy_is_what_the_paper_says(share, temperature):
    rng = np.random.default_rng(0)
    student, teacher, labels = rng.normal(size=(6, 4)) * 3, rng.normal(size=(6, 4)) * 5, rng.integers(0, 4, 6)
    targets = np.exp(log_softmax(teacher / temperature))
    logs = log_softmax(student)  # no temperature on the student
    expected = share * -(targets * logs).sum(1).mean() - (1 - share) * logs[np.arange(6), labels].mean()
    loss = soft_cross_entropy(*map(torch.from_numpy, (student, labels, teacher)), share, temperature)
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_no_gradient_goes_to_the_teacher():
    student, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    soft_cross_entropy(student, torch.tensor([0, 1, 2]), teacher).backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_templates_by_set_by_name_and_by_sentence():
    assert resolve_templates((), "EuroSAT") == TEMPLATES["eurosat"]
    assert resolve_templates((), "some/folder") == resolve_templates(()) == TEMPLATES["default"]
    assert resolve_templates(("dtd", "my {}."), "eurosat") == (*TEMPLATES["dtd"], "my {}.")
    with pytest.raises(UnknownNameError, match="Unknown template 'euro'"):
        resolve_templates(("euro",))

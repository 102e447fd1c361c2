"""The detector's parts by their formulas: where boxes are cut out, losses, what is frozen, what backbones are taken."""

import numpy as np
import pytest
import torch
from PIL import Image
from tools.toy_devkit import write_toy_devkit
from torch import nn

from synthset.core.errors import DataError, UsageError
from synthset.detection.batches import Photographs, resized, targets_of
from synthset.detection.config import DetectConfig, rate_at
from synthset.detection.detector import AlignedPool, box_losses, build_detector, default_form
from synthset.detection.start import find_beginning, load_backbone
from synthset.detection.voc import read_voc

SMALL = DetectConfig(architecture="small_cnn", anchor_sizes_px=(16, 24), boxes_per_image=16)


def build(config, form=None, num_classes=3):
    backbone = load_backbone(find_beginning("random", config), 0)
    return build_detector(backbone, config.architecture, num_classes, form or default_form(backbone), config)


def test_boxes_are_cut_out_at_their_exact_places():
    """Features that rise with the place show where they were taken: centre of a bin / stride - 1/2."""
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    cut = AlignedPool((4,), 2)({"0": ramp}, [torch.tensor([[8.0, 8.0, 24.0, 24.0]])], [(64, 64)])
    assert cut[0, 0].tolist() == [[12 / 4 - 0.5, 20 / 4 - 0.5]] * 2


def test_a_pyramid_gives_each_box_the_level_of_its_size():
    maps = {name: torch.full((1, 1, side, side), float(name)) for name, side in (("0", 256), ("1", 128), ("2", 64))}
    boxes = torch.tensor([[0.0, 0, side, side] for side in (50, 224, 130, 1000)])
    cut = AlignedPool((4, 8, 16), 1)(maps, [boxes], [(1024, 1024)])
    assert cut.flatten().tolist() == [0, 2, 1, 2]


def test_losses_are_those_of_the_formulas():
    logits, labels = torch.randn(4, 3), [torch.tensor([0, 2]), torch.tensor([1, 0])]
    deltas, wanted = torch.randn(4, 12), [torch.randn(2, 4), torch.randn(2, 4)]
    entropy, differences = box_losses(logits, deltas, labels, wanted)
    rows = [0, 2, 1, 0]
    assert entropy == pytest.approx(-sum(logits.log_softmax(1)[i, c] for i, c in enumerate(rows)).item() / 4)
    there = [(1, 2, wanted[0][1]), (2, 1, wanted[1][0])]
    expected = sum((deltas[i, 4 * c : 4 * c + 4] - target).abs().sum().item() for i, c, target in there) / 4
    assert differences == pytest.approx(expected)


def test_losses_of_proposals_are_over_all_samples():
    rpn = build(SMALL).rpn
    labels = [torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0.0, -1.0, -1.0])]
    objectness, deltas, wanted = torch.randn(6, 1), torch.randn(6, 4), [torch.randn(3, 4), torch.randn(3, 4)]
    entropy, differences = rpn.compute_loss(objectness, deltas, labels, wanted)
    chances = objectness.flatten().sigmoid()
    expected = -(chances[0].log() + (1 - chances[1]).log() + (1 - chances[3]).log()) / (2 * 256)
    assert entropy == pytest.approx(expected.item())
    assert differences == pytest.approx((deltas[0] - wanted[0][0]).abs().sum().item() / (2 * 256))


@pytest.mark.parametrize(("form", "sizes"), [("c4", (16, 24)), ("fpn", (8, 16, 24, 32, 48))])
def test_nothing_is_frozen_and_all_of_it_learns(form, sizes):
    config = DetectConfig(architecture="small_cnn", anchor_sizes_px=sizes, boxes_per_image=16)
    detector = build(config, form).train()
    assert all(one.requires_grad for one in detector.parameters())
    norms = [one for one in detector.modules() if isinstance(one, nn.BatchNorm2d)]
    before = [one.running_mean.clone() for one in norms]
    samples = [{"boxes": torch.tensor([[8.0, 8, 30, 30]]), "labels": torch.tensor([2])}, empty_target()]
    losses = detector([torch.rand(3, 64, 64), torch.rand(3, 48, 64)], samples)
    assert len(losses) == 4
    sum(losses.values()).backward()
    assert [name for name, one in detector.named_parameters() if one.grad is None] == []
    assert all(not torch.equal(one.running_mean, old) for one, old in zip(norms, before, strict=True))
    assert detector.eval()([torch.rand(3, 64, 64)])[0].keys() == {"boxes", "labels", "scores"}
    predictor = detector.roi_heads.box_predictor
    assert predictor.cls_score.weight.std().item() == pytest.approx(0.01, rel=0.2)
    assert predictor.bbox_pred.weight.std().item() == pytest.approx(0.001, rel=0.2)


def empty_target():
    return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}


def test_a_resnet_is_c4_at_a_stride_of_16_and_others_are_pyramids():
    config = DetectConfig(architecture="resnet10t")
    detector = build(config)
    assert detector.roi_heads.box_roi_pool.strides == (16,)
    assert detector.roi_heads.box_roi_pool.positions == 14
    assert isinstance(detector.roi_heads.box_head.norm, nn.BatchNorm2d)
    assert detector.rpn.anchor_generator.num_anchors_per_location() == [15]
    assert build(config, "fpn").roi_heads.box_roi_pool.strides == (4, 8, 16, 32)
    other = DetectConfig(architecture="mobilenetv3_small_050")
    assert build(other).roi_heads.box_roi_pool.strides == (4, 8, 16, 32)


@pytest.mark.parametrize(
    ("architecture", "options", "form", "message"),
    [
        ("mobilenetv3_small_050", {}, "c4", "Expected a ResNet or small_cnn with form=c4"),
        ("deit_tiny_patch16_224", {}, None, "does not read images of any size"),
        ("small_cnn", {"anchor_sizes_px": (16, 24)}, "fpn", "anchor_sizes_px of the 5 levels .* got 2"),
    ],
)
def test_backbones_that_a_form_is_not_for_are_refused(architecture, options, form, message):
    with pytest.raises(UsageError, match=message):
        build(DetectConfig(architecture=architecture, **options), form)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_sets": ("trainval",)}, "train_sets as year and set"),
        ({"train_sets": ()}, "train_sets with a set"),
        ({"train_sets": ("2007-test",)}, "test_set that is not learned from"),
        ({"drops": (0.9, 0.5)}, "drops in rising order"),
        ({"longest_side_px": 640}, "longest_side_px of at least 800"),
        ({"train_sides_px": ()}, "train_sides_px with a number"),
        ({"iterations": 0}, "iterations of at least 1"),
        ({"form": "c5"}, "Unknown form 'c5'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        DetectConfig(**options)


def test_the_warm_up_takes_half_of_a_short_training_at_most():
    config = DetectConfig(iterations=10)
    assert [rate_at(step, config, 1.0) for step in (0, 4, 5, 8, 9)] == pytest.approx([0.001, 0.8002, 1, 0.1, 0.01])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_voc(write_toy_devkit(tmp_path_factory.mktemp("kit"), 5, 1), [("2007", "trainval")]).images


def test_boxes_go_with_their_pixels(images):
    image = images[0]
    plain, mirrored = (resized(image, 128, 1000, turned) for turned in (False, True))
    assert plain.pixels.shape == (3, 128, 128)
    assert np.array_equal(plain.pixels[:, :, ::-1], mirrored.pixels)
    assert plain.boxes == pytest.approx(image.boxes * 2)
    for (left, top, right, bottom), (x, y, x2, y2) in zip(plain.boxes, mirrored.boxes, strict=True):
        assert (x, y, x2, y2) == (128 - right, top, 128 - left, bottom)
    assert targets_of([plain], torch.device("cpu"))[0]["labels"].tolist() == (image.labels + 1).tolist()


def test_the_longest_side_is_a_limit(tmp_path, images):
    kit = write_toy_devkit(tmp_path, 1, 0)
    Image.new("RGB", (64, 64)).resize((64, 64)).save(kit / "VOC2007/JPEGImages/trainval00000.png")
    (image,) = read_voc(kit, [("2007", "trainval")]).images
    assert resized(image, 100, 80).pixels.shape == (3, 80, 80)
    Image.new("RGB", (32, 64)).save(image.file)
    with pytest.raises(DataError, match=r"Expected 64×64 pixels in .* got 32×64"):
        resized(image, 100, 80)


def test_every_image_comes_once_a_pass_and_a_step_follows_from_its_number(images):
    photographs = Photographs(images, DetectConfig(batch_size=2, train_sides_px=(64, 96), workers=1))
    rows = [row for step in range(5) for row in photographs.rows(step)]
    assert sorted(rows[:5]) == sorted(rows[5:]) == [0, 1, 2, 3, 4]
    whole, later = list(photographs.batches(0, 3)), list(photographs.batches(2, 3))
    assert len({one.pixels.shape for batch in whole for one in batch}) == 2
    for one, other in zip(whole[2], later[0], strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.boxes, other.boxes)

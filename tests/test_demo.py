"""The real miniature, end to end, small; and the demo's own arithmetic."""

import json

import numpy as np
import pytest

import synthset
from synthset.core.errors import ConfigChangedError, UsageError
from synthset.demo import REFERENCE, STRATEGIES, DemoResult, DemoRow
from synthset.images.decoding import decode
from synthset.miniature import FOLDER


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    import sys

    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["synthset.demo"], "STEPS", 4)
        patch.setattr(sys.modules["synthset.demo"], "EPOCHS", 2)
        yield synthset.demo(folder, images_per_class=20), folder


def test_the_demo_makes_its_table_and_results(small_demo):
    result, folder = small_demo
    assert [row.strategy for row in result.rows] == [*STRATEGIES, REFERENCE]
    assert [row.images for row in result.rows] == [200, 200, 200, 200, 800, 200, 898]
    saved = json.loads((folder / "results.json").read_text())
    assert saved["test_set"] == {"name": "digits", "images": 1797}
    assert len(saved["rows"]) == 7
    for row in saved["rows"]:
        assert set(row) == {"strategy", "images", "seed", "accuracy", "low", "high", "seconds"}
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["seconds"] > 0
    assert decode((folder / "strategies.png").read_bytes()).width > 400
    assert all(path.exists() for path in result.paths().values())


def test_a_second_run_trains_and_draws_nothing(small_demo):
    result, folder = small_demo
    weights = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = synthset.demo(folder, images_per_class=20)
    assert [row.accuracy for row in again.rows] == [row.accuracy for row in result.rows]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == weights


def test_another_demo_or_something_else_in_the_folder_is_refused(small_demo, tmp_path):
    _, folder = small_demo
    with pytest.raises(ConfigChangedError, match="another demo"):
        synthset.demo(folder, images_per_class=30)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        synthset.demo(tmp_path)
    with pytest.raises(UsageError, match="at least 1 seed"):
        synthset.demo(tmp_path / "demo", seeds=0)


def test_the_summary_over_seeds_is_a_mean_with_students_interval(tmp_path):
    rows = [
        DemoRow(strategy, 10, seed, accuracy, 0.0, 1.0, 2.0)
        for seed, accuracy in enumerate([0.7, 0.8, 0.9])
        for strategy in (*STRATEGIES, REFERENCE)
    ]
    summary = DemoResult(tmp_path, tuple(rows), 1797).summary()
    assert len(summary) == 7
    assert summary[0].accuracy == pytest.approx(0.8)
    # t = 4.303 for two degrees of freedom, s = 0.1, n = 3
    assert summary[0].low == pytest.approx(0.8 - 4.303 * 0.1 / 3**0.5, abs=1e-3)
    assert summary[0].seed is None
    assert "over 3 seeds" in DemoResult(tmp_path, tuple(rows), 1797).footnote()


def test_diffusers_loads_the_miniature_and_draws_a_digit():
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(FOLDER, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline(
        "a handwritten digit three", num_inference_steps=8, generator=torch.Generator().manual_seed(0), output_type="np"
    ).images[0]
    assert image.shape == (32, 32, 3)
    assert image.std() > 0.05


def test_open_clip_loads_the_miniatures_clip_and_its_text_tower_is_the_unets():
    import open_clip
    import torch
    from transformers import CLIPTextModel

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{FOLDER / 'clip'}")
    tokens = open_clip.get_tokenizer(f"local-dir:{FOLDER / 'clip'}")(["a handwritten digit five", "Größe"])
    encoder = CLIPTextModel.from_pretrained(FOLDER / "text_encoder")
    with torch.no_grad():
        ours = encoder(tokens).pooler_output @ model.text_projection
        assert torch.allclose(ours, model.eval().encode_text(tokens), atol=1e-3)
        digit = synthset.load_real("digits").image(0)
        assert model.encode_image(preprocess(digit)[None]).shape == (1, 128)


def test_our_loop_draws_what_diffusers_draws_with_the_miniature():
    import torch
    from diffusers import StableDiffusionPipeline

    from synthset.create.plan import make_plan
    from synthset.prompts.strategies import resolve_strategies

    plan = make_plan(("two", "seven"), resolve_strategies(["multi_domain@1", "random_guidance"], 1), seed=3)
    requests = list(plan.requests())
    ours = synthset.load_generator("miniature", num_inference_steps=6, dtype="float32").generate(requests)
    pipeline = StableDiffusionPipeline.from_pretrained(FOLDER, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    for request, image in zip(requests, ours, strict=True):
        theirs = pipeline(
            request.prompt,
            num_inference_steps=6,
            guidance_scale=request.guidance_scale,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
        ).images[0]
        difference = np.abs(np.round(theirs * 255) - image.pixels.astype(float))
        assert difference.max() <= 1


def test_the_package_stays_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 25_000_000

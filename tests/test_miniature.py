"""The embedded model: other libraries load it, and it draws with them what it draws with us."""

import numpy as np

import synthset
from synthset.miniature import FOLDER


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

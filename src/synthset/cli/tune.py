"""`synthset tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group

from synthset.cli.app import app, flag, switch
from synthset.core.errors import UsageError

SHOTS = Group("Real images", sort_key=1)
MODEL = Group("Model and training", sort_key=2)


@app.command
def tune(
    data: str | None = None,
    /,
    *,
    clip: str = "miniature",
    real: Annotated[str | None, flag("--real", "--real-data-location")] = None,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir", "--model-path")] = Path("tuned"),
    template: Annotated[list[str] | None, flag(several=True)] = None,
    prompt_strategy: str | None = None,
    all_images: Annotated[bool, switch()] = False,
    cache: Path | None = None,
    overwrite: Annotated[bool, switch()] = False,
    seed: int = 0,
    device: str = "auto",
    shots: Annotated[list[int] | None, flag(several=True, group=SHOTS)] = None,
    seeds: Annotated[int | None, flag(group=SHOTS)] = None,
    strategy: Annotated[str, flag(group=SHOTS)] = "basic",
    order: Annotated[str, flag(group=SHOTS)] = "mix",
    mix: Annotated[bool, switch(group=SHOTS)] = False,
    compare: Annotated[list[str] | None, flag(several=True, group=SHOTS)] = None,
    real_batch_size: Annotated[int, flag(group=SHOTS)] = 32,
    real_weight: Annotated[float, flag(group=SHOTS)] = 1.0,
    synthetic_weight: Annotated[float, flag(group=SHOTS)] = 1.0,
    loss: Annotated[str, flag(group=MODEL)] = "ce",
    epochs: Annotated[int, flag("--epochs", "--epoch", group=MODEL)] = 30,
    batch_size: Annotated[int, flag(group=MODEL)] = 512,
    learning_rate: Annotated[float | None, flag(group=MODEL)] = None,
    weight_decay: Annotated[float, flag(group=MODEL)] = 0.1,
    random_start: Annotated[bool, switch(group=MODEL)] = False,
    augmentation: Annotated[str, flag(group=MODEL)] = "none",
    encoder_share: Annotated[float, flag(group=MODEL)] = 0.0,
    encoder_learning_rate: Annotated[float, flag(group=MODEL)] = 1e-5,
    unfreeze_batch_norm: Annotated[bool, switch(group=MODEL)] = False,
) -> None:
    """Tune the classifier of a CLIP on synthetic images, with a few real ones or none.

    It begins as zero-shot CLIP. With --real it is tested beside it, on images that tuning never reads. Several
    --shots, or --seeds, give a curve over shots, with synthetic images and without.

    Example: `synthset tune digits --real digits --shots 4 --loss sce --output-dir digits-tuned`

    Parameters
    ----------
    data
        A Synthset dataset, an image folder, or Parquet files; for a curve the path may hold {shots} and {seed}.
        [default: none; real images alone]
    clip
        miniature (digits), RN50, ViT-B-16, ViT-L-14, ViT-B-16-SigLIP, any open_clip ARCH/TAG, a hub id, or
        local-dir:PATH.
    real
        The real set to draw shots from and to test on: a known name or a path.
    output_dir
        Folder of the model, or of the curve.
    template
        Sentences with {class} in them, or names of known ones: default, eurosat, … [default: those of --real]
    prompt_strategy
        Tune on one prompt strategy or combination of the dataset only. [default: all its images]
    all_images
        Tune also on what filters rejected.
    cache
        Folder of cached vectors. [default: SYNTHSET_CACHE, or synthset in the user's cache folder]
    overwrite
        Replace another model in the folder.
    seed
        Of the shots, the held-back images and the order.
    device
        cpu, cuda, or auto.
    shots
        Real images of each class; several for a curve, e.g. 1 2 4 8 16. [default: 0]
    seeds
        For a curve, so many seeds: 0, 1, … [default: 3 where --shots has several]
    strategy
        basic; real_filtering, images nearest to another class's shots are left out; real_guidance, the dataset was
        drawn from these shots (create --initial-images).
    order
        mix, syn_then_real, or real_then_syn.
    mix
        The default order, spelled out.
    compare
        For a curve, further methods: random_head, tip_adapter, tip_adapter_f, linear_probe.
    real_batch_size
        Real images a step.
    real_weight
        Factor of their loss.
    synthetic_weight
        Factor of the synthetic images' loss.
    loss
        Of synthetic images: ce, or sce, half of it against what zero-shot CLIP says.
    epochs
        Passes over the larger of the two sources.
    batch_size
        Synthetic images a step.
    learning_rate
        Of AdamW, at the start; it falls to zero along one cosine. [default: 2e-3; 1e-3 with shots]
    weight_decay
        Of AdamW.
    random_start
        Begin with a random classifier, not with the texts.
    augmentation
        none, standard, or digits; with the latter images are encoded anew in every epoch.
    encoder_share
        Share of the image encoder's parameters that is tuned along, from the top, in 0..1.
    encoder_learning_rate
        Of these parameters.
    unfreeze_batch_norm
        Let BatchNorm follow the batches.
    """
    from synthset.encoders.embed import EmbeddingCache

    if mix and order != "mix":
        raise UsageError(f"Expected --mix or --order {order}, got both. Drop one.")
    numbers = shots or [0]
    is_curve = len(numbers) > 1 or seeds is not None
    if compare and not is_curve:
        raise UsageError("Expected several --shots or --seeds with --compare, which is for a curve, got one model.")
    if is_curve and real is None:
        raise UsageError("Expected --real with several --shots or --seeds, for a curve is tested, e.g. --real digits.")
    options = {
        "clip": clip,
        "templates": tuple(template or ()),
        "loss": loss,
        "strategy": strategy,
        "order": order,
        "epochs": epochs,
        "batch_size": batch_size,
        "real_batch_size": real_batch_size,
        "learning_rate": learning_rate,
        "encoder_learning_rate": encoder_learning_rate,
        "weight_decay": weight_decay,
        "synthetic_weight": synthetic_weight,
        "real_weight": real_weight,
        "text_initialisation": not random_start,
        "encoder_share": encoder_share,
        "freeze_batch_norm": not unfreeze_batch_norm,
        "augmentation": augmentation,
        "device": device,
    }
    source = {
        "real": real,
        "prompt_strategy": prompt_strategy,
        "all_images": all_images,
        "cache": None if cache is None else EmbeddingCache(cache),
        "overwrite": overwrite,
    }
    if is_curve:
        from synthset.cli.tables import print_curve
        from synthset.tuning.curve import tune_curve

        counted = range(seed, seed + (3 if seeds is None else seeds))
        print_curve(tune_curve(data, output_dir, numbers, counted, compare=tuple(compare or ()), **source, **options))
        return

    from synthset.classifiers.evaluate import write_evaluation
    from synthset.cli.tables import print_evaluation, print_tune
    from synthset.tuning.stage import evaluate_on
    from synthset.tuning.stage import tune as run_tune

    result = run_tune(data, output_dir, shots=numbers[0], seed=seed, **source, **options)
    if real is None:
        print_tune(result)
        return
    before, after = evaluate_on(output_dir, real, cache=source["cache"])
    write_evaluation(before, output_dir / "zero-shot" / "evaluation")
    write_evaluation(after, output_dir / "evaluation")
    print_tune(result, before)
    print_evaluation(after, output_dir / "evaluation")

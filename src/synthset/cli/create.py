"""`synthset create`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group

from synthset.cli.app import MACHINES, SAMPLING, SCRIPT, SHORTCUTS, STORAGE, WORDING, app, flag, switch
from synthset.core.errors import UsageError

if TYPE_CHECKING:
    from synthset.generators.sampling import SamplingOptions
    from synthset.prompts.language_enhancement import SentenceConfig

GUIDANCE = Group("Real guidance", sort_key=2.5)
SENTENCES = Group("Sentences", sort_key=1.5)
REFILL = Group("Filter and refill", sort_key=3.5)


@app.command
def create(
    *,
    classes: Annotated[list[str] | None, flag("--classes", several=True)] = None,
    classes_file: Path | None = None,
    dataset: str | None = None,
    strategy: Annotated[list[str] | None, flag("--strategy", "--trick", several=True)] = None,
    images_per_class: int | None = None,
    output_dir: Annotated[str, flag("--output-dir", "--outdir")] = "dataset",
    seed: int = 64,
    dry_run: Annotated[bool, switch()] = False,
    resume: Annotated[bool, switch()] = True,
    overwrite: Annotated[bool, switch()] = False,
    max_failures: float = 0.01,
    executor: Annotated[str, flag(group=MACHINES)] = "local",
    address: Annotated[str | None, flag(group=MACHINES)] = None,
    workers: Annotated[int | None, flag(group=MACHINES)] = None,
    price_per_hour: Annotated[float | None, flag(group=MACHINES)] = None,
    guidance_scale: Annotated[str | None, flag(group=WORDING)] = None,
    min_scale: Annotated[float, flag(group=WORDING)] = 1.0,
    max_scale: Annotated[float, flag(group=WORDING)] = 5.0,
    domains: Annotated[list[str] | None, flag("--domains", several=True, group=WORDING)] = None,
    template: Annotated[str | None, flag(group=WORDING)] = None,
    phrases: Annotated[str | None, flag(group=WORDING)] = None,
    augmentation_file: Annotated[Path | None, flag(group=WORDING)] = None,
    negative_prompt: Annotated[list[str] | None, flag("--negative-prompt", several=True, group=WORDING)] = None,
    satellite: Annotated[bool | None, flag(negative="--no-satellite", group=WORDING)] = None,
    literal_articles: Annotated[bool, switch(WORDING)] = False,
    sentences: Annotated[int | None, flag(group=SENTENCES)] = None,
    sentences_from: Annotated[str | None, flag(group=SENTENCES)] = None,
    sentence_model: Annotated[str | None, flag(group=SENTENCES)] = None,
    sentences_revision: Annotated[str | None, flag(group=SENTENCES)] = None,
    no_require_mention: Annotated[bool, switch(SENTENCES)] = False,
    generator: Annotated[str, flag(group=SAMPLING)] = "miniature",
    revision: Annotated[str | None, flag(group=SAMPLING)] = None,
    scheduler: Annotated[str, flag(group=SAMPLING)] = "auto",
    steps: Annotated[str, flag("--steps", "--ddim-steps", group=SAMPLING)] = "40",
    height: Annotated[int | None, flag("--height", "--H", group=SAMPLING)] = None,
    width: Annotated[int | None, flag("--width", "--W", group=SAMPLING)] = None,
    batch_size: Annotated[int | None, flag(group=SAMPLING)] = None,
    dtype: Annotated[str, flag(group=SAMPLING)] = "auto",
    device: Annotated[str, flag(group=SAMPLING)] = "auto",
    engine: Annotated[str | None, flag(group=SAMPLING)] = None,
    compile: Annotated[bool, switch(SAMPLING)] = False,
    initial_images: Annotated[str | None, flag(group=GUIDANCE)] = None,
    shots: Annotated[int | None, flag(group=GUIDANCE)] = None,
    shots_seed: Annotated[int, flag(group=GUIDANCE)] = 0,
    strength: Annotated[float | None, flag(group=GUIDANCE)] = None,
    guidance_interval: Annotated[tuple[float, float] | None, flag(group=SHORTCUTS)] = None,
    cache_interval: Annotated[int, flag(group=SHORTCUTS)] = 1,
    cads_noise: Annotated[float | None, flag(group=SHORTCUTS)] = None,
    cads_times: Annotated[tuple[float, float] | None, flag(group=SHORTCUTS)] = None,
    cads_mixing: Annotated[float | None, flag(group=SHORTCUTS)] = None,
    resize: Annotated[int | None, flag(group=STORAGE)] = None,
    antialias: Annotated[bool | None, flag(negative="--no-antialias", group=STORAGE)] = None,
    image_format: Annotated[str, flag(group=STORAGE)] = "auto",
    quality: Annotated[int, flag(group=STORAGE)] = 95,
    shard_size: Annotated[int, flag(group=STORAGE)] = 512,
    refill: Annotated[str | None, flag(group=REFILL)] = None,
    max_draws: Annotated[int | None, flag(group=REFILL)] = None,
    encoder: Annotated[str | None, flag(group=REFILL)] = None,
    threshold: Annotated[float | None, flag(group=REFILL)] = None,
    filter_template: Annotated[list[str] | None, flag("--filter-template", several=True, group=REFILL)] = None,
    real: Annotated[str | None, flag(group=REFILL)] = None,
    n_samples: Annotated[int | None, flag(group=SCRIPT)] = None,
    n_iter: Annotated[int | None, flag(group=SCRIPT)] = None,
) -> None:
    """Draw a synthetic dataset from class names. Run again, it finishes what is missing.

    Example: `synthset create --classes one two --strategy all_combined --output-dir digits`

    Stable Diffusion: `synthset create --dataset cifar10 --strategy all_combined --generator
    CompVis/stable-diffusion-v1-4 --output-dir cifar10-synthetic`

    Parameters
    ----------
    classes
        Class names; an underscore becomes a space in prompts.
    classes_file
        A text file with one class a line, instead of --classes.
    dataset
        A known real set, instead of --classes: its class names, image size and number of images.
    strategy
        base, class_prompt, multi_domain, random_guidance, prompt_augmentation, language_enhancement,
        all_combined, all_combined_equal; from --initial-images, not from words: interpolate_three,
        interpolate_all. Several may be given, and any prompts crossed with any guidance: multi_domain@1:5, or
        base@2.5 for low guidance. [default: base]
    images_per_class
        Images of each class that each strategy draws. [default: 100, or as many as --dataset has]
    output_dir
        Folder of the dataset, or a URL such as s3://bucket/pets with the package that reads it (s3fs, gcsfs, …).
    seed
        Of the whole run; each image has its own, derived from it.
    dry_run
        Print counts, sample prompts and an estimate of time; write nothing.
    resume
        Always on: an interrupted run is finished.
    overwrite
        Replace another Synthset dataset in the folder.
    max_failures
        Share of images that may fail before the exit code is 3.
    executor
        local, or ray: many GPUs or machines, each with the model loaded once; needs `pip install "synthset[ray]"`.
    address
        Of a running Ray cluster, e.g. auto or ray://head:10001. [default: Ray is started on this machine]
    workers
        That share the work of --executor ray. [default: one a GPU, or one a core]
    price_per_hour
        Of one worker, for the estimate of --dry-run.
    guidance_scale
        Classifier-free guidance: 7.5, or 1:5 for a draw for each image. [default: 7.5; 2.5 for
        prompt_augmentation]
    min_scale
        Lower end of random_guidance.
    max_scale
        Upper end of random_guidance.
    domains
        Styles of multi_domain, instead of the ten of the paper.
    template
        Sentence of the base prompt, e.g. "a microscope image of {class}".
    phrases
        What stands for a class in all prompts: a YAML file with lines such as `jay: a bird of type jay`; for
        ImageNet also imagenet-synsets, imagenet-lemmas or imagenet-definitions.
    augmentation_file
        Words of prompt_augmentation, instead of those that come with Synthset: a YAML file with the lists
        looks, extents, typical, sizes, locations and styles.
    negative_prompt
        What no image shall show; of several, each image draws one.
    satellite
        The paper's prompts for satellite images. [default: on for --dataset eurosat]
    literal_articles
        Keep the paper's "a {class}" where English has "an".
    sentences
        Of language_enhancement: sentences of each class, which are its prompts, equally often. [default: 200]
    sentences_from
        Who writes them: miniature, the folder or hub id of an encoder-decoder such as T5, the URL of an
        OpenAI-compatible server, or a YAML file with lines such as `five: [a child wrote a five]`. [default:
        miniature with the generator miniature, else mrm8488/t5-base-finetuned-common_gen]
    sentence_model
        The server's name for the model, with a URL.
    sentences_revision
        Branch, tag or commit, with a hub id.
    no_require_mention
        Take sentences of a model that do not mention the class, too.
    generator
        miniature (ten digits), the hub id of a Stable Diffusion 1.x or 2.x model, or the folder of one.
    revision
        Branch, tag or commit of the hub id.
    scheduler
        auto: ddim for Stable Diffusion and SDXL, the checkpoint's own for others; or any diffusers scheduler:
        ddim, euler, dpmsolver_multistep, …
    steps
        Sampling steps: 40, or 20:40 for a number for each image.
    height
        Drawn height in pixels. [default: the model's own]
    width
        Drawn width in pixels. [default: the model's own]
    batch_size
        Images drawn together. [default: chosen by the generator]
    dtype
        float32, bfloat16, float16, or auto: bfloat16 on a GPU.
    device
        cpu, cuda, or auto.
    engine
        eager, or compiled: by torch.compile, which takes minutes to begin with. [default: eager]
    compile
        Short for --engine compiled.
    initial_images
        Real images of the classes to begin at instead of noise, or for the strategies interpolate_three and
        interpolate_all to mix: a known name (its training split; of digits, the half that tune and its tests leave
        for this), or a path, all images of it. [default: begin at noise]
    shots
        Of --initial-images, real images of each class. [default: all]
    shots_seed
        Decides which.
    strength
        Share of the steps that a noised real image passes: near 0 repeats it, 1 forgets it. [default: 0.5, 0.4,
        0.35, 0.2 and 0.15 for 1, 2, 4, 8 and 16 shots, as in He et al. 2023; the nearest for others]
    guidance_interval
        Steps with guidance, as shares of all, e.g. 0.2 0.8: outside a step costs half. [default: all]
    cache_interval
        DeepCache: compute the UNet's deep blocks in every so many-th step only, e.g. 3 for twice the speed.
    cads_noise
        CADS: early steps see the prompt through noise, for more diverse images; 0.25 in its paper. [default: off]
    cads_times
        From which time on the prompt is clear, and down to which there is noise alone; time runs from 1 to 0.
        [default: 0.6 0.9]
    cads_mixing
        How far noisy prompts are brought back to the mean and deviation of clean ones. [default: 1]
    resize
        Side in pixels of the stored images. [default: as drawn, or as --dataset has them]
    antialias
        Shrink with anti-aliasing. [default: on, off for --dataset eurosat]
    image_format
        png, jpeg, webp, or auto: PNG up to 64 px, JPEG above.
    quality
        Of JPEG and WebP, 1 to 100.
    shard_size
        Images of a file: what a worker does at once; a kill costs two of them at most.
    refill
        A filter, clip, real or duplicates: draw until it keeps --images-per-class images of each class.
        [default: keep all that is drawn]
    max_draws
        Images of a class and strategy that refilling draws at most. [default: five times --images-per-class]
    encoder
        Of the filter, see 'synthset filter'. [default: miniature]
    threshold
        Of --refill clip: keep images with p(class) above it. [default: 1 / number of classes]
    filter_template
        Of --refill clip: sentences that describe a class to the encoder, see 'synthset filter'.
    real
        Real images for --refill real and duplicates: a known name or a path.
    n_samples
        With --n-iter, instead of --images-per-class, which is n_samples × n_iter. [default: 2]
    n_iter
        See --n-samples. [default: 1000]
    """
    from synthset.cli.tables import print_create, print_plan
    from synthset.core.files import to_path
    from synthset.create.config import CreateConfig
    from synthset.create.stage import create as run_create
    from synthset.executors import load_executor
    from synthset.filters import FilterConfig
    from synthset.prompts.phrases import load_phrases
    from synthset.prompts.presets import preset_for
    from synthset.prompts.prompt_augmentation import read_augmentation
    from synthset.prompts.strategies import PromptStyle

    filter_flags = {
        "--encoder": encoder,
        "--threshold": threshold,
        "--filter-template": filter_template,
        "--real": real,
    }
    if refill is None and (given := [name for name, value in filter_flags.items() if value is not None]):
        raise UsageError(f"Expected --refill with {' and '.join(given)}, e.g. --refill clip. Or leave it out.")
    sentence_config = _sentence_config(
        strategy or [], sentences, sentences_from, sentence_model, sentences_revision, no_require_mention
    )
    if not resume:  # from a file of flags; the command line has no switch for it
        raise UsageError("Expected 'resume' to stay on. Give --overwrite to begin anew, or another --output-dir.")
    names = _class_names(classes, classes_file, dataset)
    preset = preset_for(dataset) if dataset else None
    if n_samples is not None or n_iter is not None:
        if images_per_class is not None:
            raise UsageError("Expected --images-per-class or --n-samples with --n-iter, got both. Drop one.")
        images_per_class = _product_of_script(n_samples, n_iter)
    if images_per_class is None:
        images_per_class = preset.images_per_class if preset else 100
    on_satellite = satellite if satellite is not None else bool(preset and preset.satellite)
    config = CreateConfig(
        strategies=tuple(strategy or ["base"]),
        images_per_class=images_per_class,
        generator=generator,
        revision=revision,
        guidance_scale=guidance_scale,
        random_guidance=(min_scale, max_scale),
        steps=_steps(steps),
        scheduler=scheduler,
        sampling=_sampling_options(guidance_interval, cache_interval, cads_noise, cads_times, cads_mixing),
        height_px=height,
        width_px=width,
        resize_px=resize if resize is not None else (preset.size_px if preset else None),
        antialias=antialias if antialias is not None else (preset is None or preset.antialias),
        image_format=image_format,
        quality=quality,
        seed=seed,
        negative_prompt=_one_or_more(negative_prompt),
        style=PromptStyle(
            tuple(domains) if domains else None,
            on_satellite,
            literal_articles,
            template,
            load_phrases(phrases, names) if phrases else {},
            read_augmentation(augmentation_file) if augmentation_file else None,
        ),
        dtype=dtype,
        device=device,
        engine=_engine(engine, compile),
        batch_size=batch_size,
        max_failures=max_failures,
        refill=refill,
        filter=FilterConfig(encoder or "miniature", tuple(filter_template or ()), threshold, real=real, device=device),
        max_draws=max_draws,
        initial_images=initial_images,
        shots=shots,
        shots_seed=shots_seed,
        strength=strength,
        sentences=sentence_config,
        shard_size=shard_size,
    )
    machines = load_executor(executor, address, workers)
    if dry_run:
        print_plan(names, config, to_path(output_dir), workers, price_per_hour)
    else:
        print_create(run_create(names, output_dir, config, executor=machines, overwrite=overwrite))


def _sampling_options(
    guidance_interval: tuple[float, float] | None,
    cache_interval: int,
    cads_noise: float | None,
    cads_times: tuple[float, float] | None,
    cads_mixing: float | None,
) -> SamplingOptions:
    """What the flags ask for. Raises UsageError for details of CADS without its noise."""
    from synthset.generators.sampling import ConditionAnnealing, SamplingOptions

    details = {"--cads-times": cads_times, "--cads-mixing": cads_mixing}
    if cads_noise is None and (given := [name for name, value in details.items() if value is not None]):
        raise UsageError(f"Expected --cads-noise with {' and '.join(given)}, e.g. --cads-noise 0.25.")
    annealing = None
    if cads_noise is not None:
        annealing = ConditionAnnealing(noise_scale=cads_noise)
        if cads_times is not None:
            annealing = replace(annealing, tau1=cads_times[0], tau2=cads_times[1])
        if cads_mixing is not None:
            annealing = replace(annealing, mixing_factor=cads_mixing)
    return SamplingOptions(guidance_interval or (0.0, 1.0), cache_interval, annealing)


def _engine(name: str | None, compile: bool) -> str:
    if compile and name not in (None, "compiled"):
        raise UsageError(f"Expected --engine or its short form --compile, got both (--engine {name}). Drop one.")
    return "compiled" if compile else name or "eager"


def _steps(text: str) -> int | str:
    """A number as one, so that the manifest has it as one."""
    return int(text) if text.isdecimal() else text


def _one_or_more(negative_prompts: Sequence[str] | None) -> str | tuple[str, ...]:
    texts = tuple(negative_prompts or ("",))
    return texts[0] if len(texts) == 1 else texts


def _sentence_config(
    strategy: Sequence[str],
    count: int | None,
    source: str | None,
    model: str | None,
    revision: str | None,
    no_require_mention: bool,
) -> SentenceConfig | None:
    """What the flags ask for, None where there are none. Raises UsageError for flags that no strategy reads."""
    from synthset.prompts.language_enhancement import SentenceConfig, wants_sentences

    flags = {
        "--sentences": count,
        "--sentences-from": source,
        "--sentence-model": model,
        "--sentences-revision": revision,
        "--no-require-mention": no_require_mention or None,
    }
    given = [name for name, value in flags.items() if value is not None]
    if not given:
        return None
    if not wants_sentences(strategy):
        raise UsageError(f"Expected --strategy language_enhancement with {' and '.join(given)}. Or leave it out.")
    config = SentenceConfig(source=source, model=model, revision=revision, require_mention=not no_require_mention)
    return config if count is None else replace(config, count=count)


def _product_of_script(n_samples: int | None, n_iter: int | None) -> int:
    """Images per class as the paper's script counts them, with its defaults."""
    n_samples = 2 if n_samples is None else n_samples
    n_iter = 1000 if n_iter is None else n_iter
    if n_samples < 1 or n_iter < 1:
        raise UsageError(f"Expected --n-samples and --n-iter of at least 1, got {n_samples} and {n_iter}.")
    return n_samples * n_iter


def _class_names(classes: list[str] | None, file: Path | None, dataset: str | None) -> Sequence[str]:
    flags = {"--classes": classes, "--classes-file": file, "--dataset": dataset}
    given = [flag for flag, value in flags.items() if value]
    if len(given) != 1:
        raise UsageError(
            f"Expected one of --classes, --classes-file and --dataset, got {' and '.join(given) or 'none'}. "
            "For example: --classes dog cat."
        )
    from synthset.prompts.classes import read_classes
    from synthset.real import class_names_of

    if classes:
        return classes
    return read_classes(file) if file else class_names_of(str(dataset))

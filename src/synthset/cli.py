"""The command line: thin commands over the stages. Results go to stdout, everything else to stderr.

Exit codes: 0 done, 1 failure, 2 usage, 3 finished with failures above the threshold, 130 interrupted.
A flag may be written with - or _; every command reads `--config file.yaml`, and SYNTHSET_… variables.
Command line over environment over file over default.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Env

from synthset.errors import SynthsetError, UsageError
from synthset.version import __version__

app = App(
    name="synthset",
    version=__version__,
    help="Train image classifiers without a single real image: from class names to a tested model.",
    help_epilogue="Start with `synthset demo`. Every command shows its flags and an example with --help.",
    help_format="markdown",
    result_action="return_value",
)


def several(*names: str) -> Parameter:
    """A flag that takes several values: --classes dog cat."""
    return Parameter(name=names or None, consume_multiple=True, negative=())


def one(*names: str) -> Parameter:
    """A flag with aliases."""
    return Parameter(name=names or None, negative=())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        tokens = _prepare(list(sys.argv[1:] if argv is None else argv))
        code = app(tokens, exit_on_error=False, print_error=False)
    except SynthsetError as error:
        return _complain(str(error), error.exit_code)
    except CycloptsError as error:
        return _complain(_one_line(error), 2)
    except KeyboardInterrupt:
        return _complain("Interrupted. Run the same command again to finish.", 130)
    except OSError as error:
        return _complain(f"{error}.", 1)
    return code if isinstance(code, int) else 0


@app.command
def demo(
    *,
    seeds: int = 1,
    images_per_class: int = 100,
    output_dir: Annotated[Path, one("--output-dir", "--outdir")] = Path("demo"),
) -> None:
    """The main job on the embedded miniature: five strategies, one table, a few minutes on two cores.

    Draws synthetic digits, trains a classifier on each strategy from scratch, and tests it on 1,797 real
    handwritten digits that neither generator nor classifier has seen.

    Example: `synthset demo --seeds 3`

    Parameters
    ----------
    seeds
        Repetitions with other seeds; with two or more, the interval is over seeds.
    images_per_class
        Images of each digit that a strategy draws.
    output_dir
        Where datasets, models, pictures and results.json go. Run again, it goes on where it stopped.
    """
    from synthset.demo import demo as run_demo
    from synthset.tables import print_demo

    print_demo(run_demo(output_dir, seeds=seeds, images_per_class=images_per_class))


@app.command
def create(
    *,
    classes: Annotated[list[str] | None, several("--classes")] = None,
    classes_file: Path | None = None,
    dataset: str | None = None,
    output_dir: Annotated[Path, one("--output-dir", "--outdir")] = Path("dataset"),
    strategy: Annotated[list[str] | None, several("--strategy", "--trick")] = None,
    images_per_class: int | None = None,
    generator: str = "miniature",
    revision: str | None = None,
    guidance_scale: str | None = None,
    min_scale: float = 1.0,
    max_scale: float = 5.0,
    domains: Annotated[list[str] | None, several("--domains")] = None,
    satellite: Annotated[bool | None, Parameter(negative="--no-satellite")] = None,
    template: str | None = None,
    literal_articles: Annotated[bool, one()] = False,
    negative_prompt: str = "",
    steps: Annotated[int, one("--steps", "--ddim-steps")] = 40,
    scheduler: str = "ddim",
    height: Annotated[int | None, one("--height", "--H")] = None,
    width: Annotated[int | None, one("--width", "--W")] = None,
    resize: int | None = None,
    antialias: Annotated[bool | None, Parameter(negative="--no-antialias")] = None,
    image_format: str = "auto",
    quality: int = 95,
    seed: int = 64,
    batch_size: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    max_failures: float = 0.01,
    resume: Annotated[bool, one()] = True,
    overwrite: Annotated[bool, one()] = False,
    dry_run: Annotated[bool, one()] = False,
    n_samples: int | None = None,
    n_iter: int | None = None,
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
    output_dir
        Folder of the dataset.
    strategy
        base, class_prompt, multi_domain, random_guidance, all_combined, all_combined_equal; several may be
        given, and any prompts crossed with any guidance: multi_domain@1:5.
    images_per_class
        Images of each class that each strategy draws. [default: 100]
    generator
        miniature (ten digits), the hub id of a Stable Diffusion 1.x or 2.x model, or the folder of one.
    revision
        Branch, tag or commit of the hub id.
    guidance_scale
        Classifier-free guidance, 7.5 or 1:5 for a draw for each image. [default: 7.5]
    min_scale
        Lower end of random_guidance.
    max_scale
        Upper end of random_guidance.
    domains
        Domains of multi_domain instead of the ten of the paper.
    satellite
        The papers' prompts for satellite images. [default: on for --dataset eurosat]
    template
        Sentence of the base prompt, e.g. "a microscope image of {class}".
    literal_articles
        Keep the papers' "a {class}" where English has "an".
    negative_prompt
        What no image shall show.
    steps
        Sampling steps.
    scheduler
        Any diffusers scheduler: ddim, euler, dpmsolver_multistep, …
    height
        Drawn height in pixels; the model's own by default.
    width
        Drawn width in pixels; the model's own by default.
    resize
        Side in pixels of the stored images; as drawn by default.
    antialias
        Shrink with anti-aliasing. [default: on, off for --dataset eurosat]
    image_format
        png, jpeg, webp, or auto: PNG up to 64 px, JPEG above.
    quality
        Of JPEG and WebP.
    seed
        Of the whole run; each image has its own, derived from it.
    batch_size
        Images drawn together; chosen by the generator by default.
    dtype
        float32, bfloat16, float16, or auto.
    device
        cpu, cuda, or auto.
    max_failures
        Share of images that may fail before the exit code is 3.
    resume
        Always on: an interrupted run is finished.
    overwrite
        Replace another Synthset dataset in the folder.
    dry_run
        Print counts, sample prompts and an estimate of time; write nothing.
    n_samples
        With --n-iter: images per class = n_samples × n_iter, as in the papers' script.
    n_iter
        See --n-samples.
    """
    from synthset.create import CreateConfig
    from synthset.create import create as run_create
    from synthset.presets import preset_for
    from synthset.prompts import PromptStyle
    from synthset.tables import print_create, print_plan

    names = _class_names(classes, classes_file, dataset)
    preset = preset_for(dataset) if dataset else None
    if n_samples is not None or n_iter is not None:
        if images_per_class is not None:
            raise UsageError("Expected --images-per-class or --n-samples with --n-iter, got both. Drop one.")
        images_per_class = (n_samples or 2) * (n_iter or 1000)  # the papers' script has these defaults
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
        steps=steps,
        scheduler=scheduler,
        height_px=height,
        width_px=width,
        resize_px=resize if resize is not None else (preset.size_px if preset else None),
        antialias=antialias if antialias is not None else (preset is None or preset.antialias),
        image_format=image_format,
        quality=quality,
        seed=seed,
        negative_prompt=negative_prompt,
        style=PromptStyle(tuple(domains) if domains else None, on_satellite, literal_articles, template),
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        max_failures=max_failures,
    )
    if dry_run:
        print_plan(names, config)
    else:
        print_create(run_create(names, output_dir, config, overwrite=overwrite))


@app.command
def train(
    data: Path | None = None,
    /,
    *,
    syn_data_location: Path | None = None,
    output_dir: Annotated[Path, one("--output-dir", "--model-path")] = Path("model"),
    model: str = "resnet50",
    strategy: str | None = None,
    epochs: Annotated[int, one("--epochs", "--epoch")] = 200,
    batch_size: int = 128,
    learning_rate: float = 2e-4,
    weight_decay: float | None = None,
    image_size: int | None = None,
    small_images: Annotated[bool, one()] = False,
    augmentation: str = "standard",
    seed: int = 0,
    device: str = "auto",
    overwrite: Annotated[bool, one()] = False,
    dataset: str | None = None,
    real: Annotated[str | None, one("--real", "--real-data-location")] = None,
) -> None:
    """Train a classifier from scratch on synthetic images. Run again, it goes on where it stopped.

    The checkpoint is chosen on held-back synthetic images; real ones are only tested on, once, at the end.

    Example: `synthset train digits --model resnet50 --small-images --epochs 20 --output-dir digits-model`

    Parameters
    ----------
    data
        A Synthset dataset, an image folder, or Parquet files.
    syn_data_location
        Another way to name the data.
    output_dir
        Folder of the model.
    model
        resnet50, resnet101, vit_b, mobilenetv3_small, convnext_small, small_cnn, or any timm name.
    strategy
        Train on one strategy or combination of the dataset only.
    epochs
        Passes over the images.
    batch_size
        Images a step.
    learning_rate
        Of AdamW, at the start; it falls to zero along a cosine.
    weight_decay
        Of AdamW. [default: 0.9; 0.3 for --dataset eurosat; 0.1 for MobileNetV3]
    image_size
        Side in pixels that the model sees; that of the images by default.
    small_images
        A finer stem for images of up to 64 px; the papers' recipes go without.
    augmentation
        none, standard, or digits.
    seed
        Of the initialisation, the held-back images and the order.
    device
        cpu, cuda, or auto.
    overwrite
        Replace another model in the folder.
    dataset
        The real set that the recipe is for.
    real
        Test on these real images at the end: a known name or a path.
    """
    from synthset.stages import evaluate as run_evaluate
    from synthset.stages import train as run_train
    from synthset.tables import print_evaluation, print_train

    source = data or syn_data_location
    if source is None:
        raise UsageError("Expected the synthetic images, e.g. 'synthset train digits'. Run 'synthset create' first.")
    result = run_train(
        source,
        output_dir,
        strategy=strategy,
        overwrite=overwrite,
        architecture=model,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        image_size_px=image_size,
        small_images=small_images,
        augmentation=augmentation,
        dataset=dataset,
        seed=seed,
        device=device,
    )
    print_train(result, output_dir)
    if real is not None:
        print_evaluation(run_evaluate(output_dir, real, output_dir / "evaluation"), output_dir / "evaluation")


@app.command(name="eval")
def evaluate(
    model: Path | None = None,
    /,
    *,
    model_path: Path | None = None,
    real: Annotated[str | None, one("--real", "--real-data-location")] = None,
    dataset: str | None = None,
    architecture: Annotated[str | None, one("--model")] = None,
    output_dir: Path | None = None,
) -> None:
    """Test a classifier on real images: accuracy with its interval, by class, and what is taken for what.

    Example: `synthset eval digits-model --real digits`

    Parameters
    ----------
    model
        Folder of a trained model.
    model_path
        Another way to name the model.
    real
        digits, cifar10, cifar100, eurosat, mnist, imagenet, or the path of an image folder or Parquet file.
    dataset
        Name of the real set, where --real is not given.
    architecture
        Checked against the model, if given.
    output_dir
        Where the JSON and the confusion matrix go. [default: evaluation/ in the model's folder]
    """
    from synthset.classifiers.models import find_folder
    from synthset.stages import evaluate as run_evaluate
    from synthset.tables import print_evaluation

    folder, real = model or model_path, real or dataset
    if folder is None:
        raise UsageError("Expected the folder of a model, e.g. 'synthset eval digits-model --real digits'.")
    if real is None:
        raise UsageError("Expected real images to test on, e.g. --real digits, or --real with a path.")
    folder = find_folder(folder)
    target = output_dir or folder / "evaluation"
    print_evaluation(run_evaluate(folder, real, target, architecture=architecture), target)


@app.command
def export(
    data: Path,
    /,
    *,
    output_dir: Path,
    format: str = "imagefolder",
    strategy: str | None = None,
    overwrite: Annotated[bool, one()] = False,
) -> None:
    """Write a dataset in another form, for tools that read files.

    Example: `synthset export digits --format imagefolder --output-dir digits-files`

    Parameters
    ----------
    data
        A Synthset dataset.
    output_dir
        The new folder.
    format
        imagefolder: one folder of image files a class, as torchvision reads them.
    strategy
        Only the images of one strategy or combination.
    overwrite
        Replace an earlier export.
    """
    from synthset.export import export as run_export

    print(run_export(data, output_dir, format=format, strategy=strategy, overwrite=overwrite))


# ---- from tokens to values --------------------------------------------------------------------------------


def _prepare(tokens: list[str]) -> list[str]:
    """Unify - and _ in flags, and take --config, --quiet and --verbose, which every command has, out."""
    from synthset.progress import set_progress

    tokens = [_dashed(token) for token in tokens]
    sources: list[Any] = [Env("SYNTHSET_")]
    rest: list[str] = []
    remaining = iter(tokens)
    for token in remaining:
        if token == "--quiet":
            set_progress(False)
        elif token == "--verbose":
            logging.getLogger("synthset").setLevel(logging.INFO)
        elif token == "--config" or token.startswith("--config="):
            value = token.partition("=")[2] or next(remaining, "")
            sources.append(_config_file(Path(value)))
        else:
            rest.append(token)
    app.config = tuple(sources)
    return rest


def _dashed(token: str) -> str:
    if not token.startswith("--"):
        return token
    flag, equals, value = token.partition("=")
    return flag.replace("_", "-") + equals + value


def _config_file(path: Path) -> Any:
    """A YAML file of flags, those of a command under its name: `create: {images_per_class: 500}`."""
    import yaml
    from cyclopts.config import Dict

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"Expected a YAML file for --config, '{path}' does not read ({reason}).") from error
    if not isinstance(content, dict):
        raise UsageError(f"Expected 'flag: value' lines in '{path}', got {type(content).__name__}.")
    return content and Dict(content, source=str(path))


def _class_names(classes: list[str] | None, file: Path | None, dataset: str | None) -> Sequence[str]:
    flags = {"--classes": classes, "--classes-file": file, "--dataset": dataset}
    given = [flag for flag, value in flags.items() if value]
    if len(given) != 1:
        raise UsageError(
            f"Expected one of --classes, --classes-file and --dataset, got {' and '.join(given) or 'none'}. "
            "For example: --classes dog cat."
        )
    from synthset.classes import read_classes
    from synthset.real import class_names_of

    if classes:
        return classes
    return read_classes(file) if file else class_names_of(str(dataset))


def _complain(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _one_line(error: CycloptsError) -> str:
    return f"{' '.join(str(error).split())} See 'synthset --help'."


if __name__ == "__main__":
    sys.exit(main())

"""The command line: thin commands over the stages. Results go to stdout, everything else to stderr.

Exit codes: 0 done, 1 failure, 2 usage, 3 finished with failures above the threshold, 130 interrupted.
A flag may be written with - or _; every command reads `--config file.yaml`, and variables such as
SYNTHSET_CREATE_STEPS. Command line over environment over file over default.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.config import Env

from synthset.errors import SynthsetError, UsageError
from synthset.version import __version__

app = App(
    name="synthset",
    version=__version__,
    help="Train image classifiers without a single real image: from class names to a tested model.",
    help_epilogue=(
        "Start with `synthset demo`; every command shows its flags and an example with --help. All take --quiet, "
        "--verbose and --config FILE.yaml with lines such as `steps: 20`. A flag of create can also be set as "
        "SYNTHSET_CREATE_STEPS, and so on."
    ),
    help_format="markdown",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main says how to go on
    # no --no-… for every switch, no variable after every flag: the help shall fit on a screen
    default_parameter=Parameter(negative=(), show_env_var=False),
)

GENERAL = "Parameters"  # the group that cyclopts puts flags into
WORDING = Group("Prompts and guidance", sort_key=1)
SAMPLING = Group("Model and sampling", sort_key=2)
STORAGE = Group("Stored images", sort_key=3)
SCRIPT = Group("As in the script of Shipard et al. 2023", sort_key=4)


def flag(*names: str, several: bool = False, negative: str = "", group: Group | str = GENERAL) -> Parameter:
    """A flag with its names, how to switch it off, and its place in the help; `several`: --classes dog cat."""
    return Parameter(name=names or None, consume_multiple=several, negative=negative or (), group=group)


def switch(group: Group | str = GENERAL) -> Parameter:
    """A flag without a value, off by default, which goes without saying."""
    return Parameter(show_default=False, group=group)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        tokens = _prepare(list(sys.argv[1:] if argv is None else argv))
        app(tokens, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except SynthsetError as error:
        return _complain(str(error), error.exit_code)
    except CycloptsError as error:
        return _complain(_one_line(error), 2)
    except KeyboardInterrupt:
        return _complain("Interrupted. Run the same command again to finish.", 130)
    except BrokenPipeError:  # `synthset … | head` has read enough; rich ends with 1 where it prints
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return 1
    except OSError as error:
        where = f": '{error.filename}'" if error.filename else ""
        return _complain(f"{error.strerror or error}{where}.", 1)
    return 0


@app.command
def demo(
    *,
    seeds: int = 1,
    images_per_class: int = 100,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir")] = Path("demo"),
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
    classes: Annotated[list[str] | None, flag("--classes", several=True)] = None,
    classes_file: Path | None = None,
    dataset: str | None = None,
    strategy: Annotated[list[str] | None, flag("--strategy", "--trick", several=True)] = None,
    images_per_class: int | None = None,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir")] = Path("dataset"),
    seed: int = 64,
    dry_run: Annotated[bool, switch()] = False,
    resume: Annotated[bool, switch()] = True,
    overwrite: Annotated[bool, switch()] = False,
    max_failures: float = 0.01,
    guidance_scale: Annotated[str | None, flag(group=WORDING)] = None,
    min_scale: Annotated[float, flag(group=WORDING)] = 1.0,
    max_scale: Annotated[float, flag(group=WORDING)] = 5.0,
    domains: Annotated[list[str] | None, flag("--domains", several=True, group=WORDING)] = None,
    template: Annotated[str | None, flag(group=WORDING)] = None,
    negative_prompt: Annotated[str, flag(group=WORDING)] = "",
    satellite: Annotated[bool | None, flag(negative="--no-satellite", group=WORDING)] = None,
    literal_articles: Annotated[bool, switch(WORDING)] = False,
    generator: Annotated[str, flag(group=SAMPLING)] = "miniature",
    revision: Annotated[str | None, flag(group=SAMPLING)] = None,
    scheduler: Annotated[str, flag(group=SAMPLING)] = "ddim",
    steps: Annotated[int, flag("--steps", "--ddim-steps", group=SAMPLING)] = 40,
    height: Annotated[int | None, flag("--height", "--H", group=SAMPLING)] = None,
    width: Annotated[int | None, flag("--width", "--W", group=SAMPLING)] = None,
    batch_size: Annotated[int | None, flag(group=SAMPLING)] = None,
    dtype: Annotated[str, flag(group=SAMPLING)] = "auto",
    device: Annotated[str, flag(group=SAMPLING)] = "auto",
    resize: Annotated[int | None, flag(group=STORAGE)] = None,
    antialias: Annotated[bool | None, flag(negative="--no-antialias", group=STORAGE)] = None,
    image_format: Annotated[str, flag(group=STORAGE)] = "auto",
    quality: Annotated[int, flag(group=STORAGE)] = 95,
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
        base, class_prompt, multi_domain, random_guidance, all_combined, all_combined_equal. Several may be
        given, and any prompts crossed with any guidance: multi_domain@1:5. [default: base]
    images_per_class
        Images of each class that each strategy draws. [default: 100, or as many as --dataset has]
    output_dir
        Folder of the dataset.
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
    guidance_scale
        Classifier-free guidance: 7.5, or 1:5 for a draw for each image. [default: 7.5]
    min_scale
        Lower end of random_guidance.
    max_scale
        Upper end of random_guidance.
    domains
        Styles of multi_domain, instead of the ten of the paper.
    template
        Sentence of the base prompt, e.g. "a microscope image of {class}".
    negative_prompt
        What no image shall show.
    satellite
        The paper's prompts for satellite images. [default: on for --dataset eurosat]
    literal_articles
        Keep the paper's "a {class}" where English has "an".
    generator
        miniature (ten digits), the hub id of a Stable Diffusion 1.x or 2.x model, or the folder of one.
    revision
        Branch, tag or commit of the hub id.
    scheduler
        Any diffusers scheduler: ddim, euler, dpmsolver_multistep, …
    steps
        Sampling steps.
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
    resize
        Side in pixels of the stored images. [default: as drawn, or as --dataset has them]
    antialias
        Shrink with anti-aliasing. [default: on, off for --dataset eurosat]
    image_format
        png, jpeg, webp, or auto: PNG up to 64 px, JPEG above.
    quality
        Of JPEG and WebP, 1 to 100.
    n_samples
        With --n-iter, instead of --images-per-class, which is n_samples × n_iter. [default: 2]
    n_iter
        See --n-samples. [default: 1000]
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
    output_dir: Annotated[Path, flag("--output-dir", "--outdir", "--model-path")] = Path("model"),
    model: str = "resnet50",
    strategy: str | None = None,
    epochs: Annotated[int, flag("--epochs", "--epoch")] = 200,
    batch_size: int = 128,
    learning_rate: float = 2e-4,
    weight_decay: float | None = None,
    image_size: int | None = None,
    small_images: Annotated[bool, switch()] = False,
    augmentation: str = "standard",
    seed: int = 0,
    device: str = "auto",
    overwrite: Annotated[bool, switch()] = False,
    dataset: str | None = None,
    real: Annotated[str | None, flag("--real", "--real-data-location")] = None,
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
        Train on one strategy or combination of the dataset only. [default: all its images]
    epochs
        Passes over the images.
    batch_size
        Images a step.
    learning_rate
        Of AdamW, at the start; it falls to zero along a cosine.
    weight_decay
        Of AdamW. [default: 0.9; 0.3 for --dataset eurosat; 0.1 for MobileNetV3]
    image_size
        Side in pixels that the model sees. [default: that of the images, at most 224]
    small_images
        A finer stem for images of up to 64 px; the paper's recipes go without.
    augmentation
        none, standard, or digits.
    seed
        Of the initialisation, the held-back images and the order.
    device
        cpu, cuda, or auto.
    overwrite
        Replace another model in the folder.
    dataset
        The known real set that the recipe is for: it picks the weight decay.
    real
        Test on these real images at the end: a known name or a path.
    """
    from synthset.stages import evaluate as run_evaluate
    from synthset.stages import open_images, open_real
    from synthset.stages import train as run_train
    from synthset.tables import print_evaluation, print_train

    source = _either("the synthetic images", data, "--syn-data-location", syn_data_location)
    if source is None:
        raise UsageError("Expected the synthetic images, e.g. 'synthset train digits'. Run 'synthset create' first.")
    _check_dataset(dataset)
    images = open_images(source, strategy)
    # before the training, which may take hours: a test that cannot be is no news for its end
    real_images = None if real is None else open_real(real, images.class_names)
    result = run_train(
        images,
        output_dir,
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
    if real_images is not None:
        target = output_dir / "evaluation"
        print_evaluation(run_evaluate(output_dir, real_images, target), target)


@app.command(name="eval")
def evaluate(
    model: Path | None = None,
    /,
    *,
    model_path: Path | None = None,
    real: Annotated[str | None, flag("--real", "--real-data-location")] = None,
    dataset: str | None = None,
    architecture: Annotated[str | None, flag("--model")] = None,
    output_dir: Annotated[Path | None, flag("--output-dir", "--outdir")] = None,
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
        Known real set to test on, where --real is not given.
    architecture
        Architecture that the model must have. [default: any]
    output_dir
        Where the JSON and the confusion matrix go. [default: evaluation/ in the model's folder]
    """
    from synthset.classifiers.models import find_folder
    from synthset.stages import evaluate as run_evaluate
    from synthset.tables import print_evaluation

    folder = _either("the model", model, "--model-path", model_path)
    _check_dataset(dataset)
    real = real or dataset
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
    output_dir: Annotated[Path, flag("--output-dir", "--outdir")],
    format: str = "imagefolder",
    strategy: str | None = None,
    overwrite: Annotated[bool, switch()] = False,
) -> None:
    """Write a dataset in another form, for tools that read files.

    Example: `synthset export digits --format imagefolder --output-dir digits-files`

    Parameters
    ----------
    data
        A Synthset dataset, an image folder, or Parquet files.
    output_dir
        The new folder.
    format
        imagefolder: one folder of image files a class, as torchvision reads them.
    strategy
        Only the images of one strategy or combination. [default: all]
    overwrite
        Replace an earlier export.
    """
    from synthset.export import export as run_export

    print(run_export(data, output_dir, format=format, strategy=strategy, overwrite=overwrite))


# ---- from tokens to values --------------------------------------------------------------------------------


def _prepare(tokens: list[str]) -> list[str]:
    """Unify - and _ in flags, and take --config, --quiet and --verbose, which every command has, out."""
    from synthset.config import config_source
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
            if not value:
                raise UsageError("Expected a file after --config, e.g. --config create.yaml.")
            sources.append(config_source(Path(value), tuple(app)))
        else:
            rest.append(token)
    app.config = tuple(sources)
    return rest


def _dashed(token: str) -> str:
    if not token.startswith("--"):
        return token
    flag, equals, value = token.partition("=")
    return flag.replace("_", "-") + equals + value


def _either(what: str, positional: Path | None, name: str, value: Path | None) -> Path | None:
    if positional is not None and value is not None:
        raise UsageError(f"Expected {what} once, got '{positional}' and {name} '{value}'. Drop one.")
    return positional if value is None else value


def _check_dataset(name: str | None) -> None:
    from synthset.real import find_set

    if name is not None:
        find_set(name)


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
    from synthset.classes import read_classes
    from synthset.real import class_names_of

    if classes:
        return classes
    return read_classes(file) if file else class_names_of(str(dataset))


def _complain(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _one_line(error: CycloptsError) -> str:
    command = " ".join(["synthset", *(error.command_chain or ())])
    return f"{' '.join(str(error).split())} See '{command} --help'."


if __name__ == "__main__":
    sys.exit(main())

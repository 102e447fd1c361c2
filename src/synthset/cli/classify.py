"""`synthset train` and `synthset eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from synthset.cli.app import app, flag, switch
from synthset.core.errors import UsageError


@app.command
def train(
    data: Path | None = None,
    /,
    *,
    syn_data_location: Path | None = None,
    output_dir: Annotated[Path, flag("--output-dir", "--outdir", "--model-path")] = Path("model"),
    model: str = "resnet50",
    strategy: str | None = None,
    all_images: Annotated[bool, switch()] = False,
    epochs: Annotated[int, flag("--epochs", "--epoch")] = 200,
    batch_size: int = 128,
    learning_rate: float = 2e-4,
    weight_decay: float | None = None,
    image_size: int | None = None,
    small_images: Annotated[bool, switch()] = False,
    augmentation: str = "standard",
    seed: int = 0,
    device: str = "auto",
    processes: int = 1,
    compile: Annotated[bool, switch()] = False,
    memory: float | None = None,
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
    all_images
        Train also on what filters rejected.
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
    processes
        Processes that share every batch, one a GPU. `accelerate launch -m synthset.cli train` starts them too.
    compile
        Compile the network first: minutes, after which an epoch takes less time.
    memory
        Gigabytes for the decoded images; what takes more lies in a file. [default: half of what is free]
    overwrite
        Replace another model in the folder.
    dataset
        The known real set that the recipe is for: it picks the weight decay.
    real
        Test on these real images at the end: a known name or a path.
    """
    from synthset.classifiers.distributed import is_first
    from synthset.classifiers.stage import train as run_train
    from synthset.cli.tables import print_evaluation, print_train
    from synthset.dataset.opening import open_images
    from synthset.evaluation.stage import evaluate as run_evaluate
    from synthset.evaluation.stage import open_real

    source = _either("the synthetic images", data, "--syn-data-location", syn_data_location)
    if source is None:
        raise UsageError("Expected the synthetic images, e.g. 'synthset train digits'. Run 'synthset create' first.")
    _check_dataset(dataset)
    images = open_images(source, strategy, all_images=all_images)
    # before the training, which may take hours: a test that cannot be is no news for its end
    choice: dict[str, Any] = {} if processes == 1 else {"strategy": strategy, "all_images": all_images}
    real_images = None if real is None else open_real(real, images.class_names)
    result = run_train(
        images if processes == 1 else source,
        output_dir,
        processes=processes,
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
        compile=compile,
        memory_bytes=None if memory is None else round(memory * 1e9),
        **choice,
    )
    if not is_first():
        return
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
    templates: Annotated[list[str] | None, flag("--templates", "--template", several=True)] = None,
    output_dir: Annotated[Path | None, flag("--output-dir", "--outdir")] = None,
) -> None:
    """Test a classifier on real images: accuracy with its interval, by class, and what is taken for what.

    Example: `synthset eval digits-model --real digits`; zero-shot CLIP: `synthset eval clip:RN50 --real eurosat`

    Parameters
    ----------
    model
        Folder of a trained model, or clip: and the name of a CLIP, e.g. clip:miniature, clip:RN50, clip:ViT-B-16.
    model_path
        Another way to name the model.
    real
        digits, cifar10, cifar100, eurosat, mnist, imagenet, or the path of an image folder or Parquet file.
    dataset
        Known real set to test on, where --real is not given. With clip: and a path as --real, the set whose class
        names, templates and metric are meant.
    architecture
        Architecture that the model must have. [default: any]
    templates
        With clip: sentences in which it reads a class, e.g. "a photo of a {class}.", or the name of a list of
        them: default, imagenet80, imagenet7, eurosat, … [default: those of the real set]
    output_dir
        Where the JSON and the confusion matrix go. [default: evaluation/ in the model's folder, or
        clip-NAME-evaluation]
    """
    from synthset.classifiers.evaluate import file_name
    from synthset.classifiers.models import find_folder
    from synthset.cli.tables import print_evaluation
    from synthset.evaluation.stage import CLIP, is_clip
    from synthset.evaluation.stage import evaluate as run_evaluate

    folder = _either("the model", model, "--model-path", model_path)
    _check_dataset(dataset)
    real = real or dataset
    if folder is None:
        raise UsageError("Expected the folder of a model, e.g. 'synthset eval digits-model --real digits'.")
    if real is None:
        raise UsageError("Expected real images to test on, e.g. --real digits, or --real with a path.")
    if is_clip(folder):
        target = output_dir or Path(f"clip-{file_name(str(folder).removeprefix(CLIP))}-evaluation")
    else:
        folder = find_folder(folder)
        target = output_dir or folder / "evaluation"
    result = run_evaluate(folder, real, target, architecture=architecture, dataset=dataset, templates=templates or ())
    print_evaluation(result, target)


def _either(what: str, positional: Path | None, name: str, value: Path | None) -> Path | None:
    if positional is not None and value is not None:
        raise UsageError(f"Expected {what} once, got '{positional}' and {name} '{value}'. Drop one.")
    return positional if value is None else value


def _check_dataset(name: str | None) -> None:
    from synthset.real import find_set

    if name is not None:
        find_set(name)

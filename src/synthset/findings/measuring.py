"""Work that measures images in the space of an encoder, and what is computed from other figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthset.core.errors import DataError
from synthset.core.files import write_text
from synthset.findings.images import Drawn, Real
from synthset.findings.learning import Train
from synthset.findings.work import Cost, Lab, Value, Work


@dataclass(frozen=True)
class Diagnose(Work):
    """A set beside real images, by every measure.

    Its figures are named "synthetic MEASURE", "real MEASURE", "REFERENCE to QUERY MEASURE" and "head MEASURE".

    Attributes:
        network: whose features a head learns from; None for no such test.
    """

    kind = "diagnose"
    images: Drawn
    real: Real
    encoder: str
    seed: int
    network: Train | None = None

    @property
    def title(self) -> str:
        """The set."""
        return f"{self.images.title}{' by a network' if self.network else ''}"

    @property
    def cost(self) -> Cost:
        """Each image is embedded once."""
        return Cost(encoded_images=self.images.count)

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Diagnose, and take the figures out of the saved files."""
        from synthset.diagnosis.stage import diagnose

        strategy = {"strategies": (self.images.strategy,), "by_strategy": True} if self.images.strategy else {}
        result = diagnose(
            [lab.home(self.images.of) / "dataset"],
            home / "diagnosis",
            real=self.real.open(lab),
            encoder=self.encoder,
            classifier=lab.home(self.network) / "model" if self.network else None,
            all_images=self.images.filtered is None,
            seed=self.seed,
            tsne_images=0,
            **strategy,
        )
        figures: dict[str, float | None] = {}
        for row in result.summary:
            figures |= {f"{row.kind} {name}": value for name, value in row.values.items()}
        kinds = {row.set: row.kind for row in result.summary}
        for pairing in result.matrix:
            reference, query = (_side(name, kinds) for name in (pairing.reference, pairing.query))
            figures |= {f"{reference} to {query} {name}": value for name, value in pairing.values.items()}
        note = json.loads((home / "diagnosis" / "diagnosis.json").read_text())
        figures |= {f"plane {name}": value for name, value in (note["separability"] or {}).items()}
        for heads in (note["head_transfer"] or {}).values():
            figures |= {f"head {name}": value for name, value in heads.items()}
        return {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}


def _side(name: str, kinds: Mapping[str, str]) -> str:
    """A side of a pairing: "synthetic images", "real images", "synthetic prompts"."""
    whose, _, what = name.rpartition("-")
    return f"{kinds[whose]} {'prompts' if what == 'PRMT' else 'images'}"


@dataclass(frozen=True)
class Cosines(Work):
    """Mean cosines of a set's images and prompts within themselves and with each other, pairs of a class."""

    kind = "cosines"
    images: Drawn
    encoder: str

    @property
    def title(self) -> str:
        """The set."""
        return self.images.title

    @property
    def cost(self) -> Cost:
        """Each image and prompt once."""
        return Cost(encoded_images=2 * self.images.count)

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Embed both, and average over the pairs of each class."""
        from synthset.dataset.reader import open_dataset
        from synthset.encoders.clip import load_encoder
        from synthset.encoders.embed import embed_images

        encoder = load_encoder(self.encoder)
        dataset = open_dataset(lab.home(self.images.of) / "dataset")
        rows = dataset.select(self.images.strategy, kept=False)
        prompts = dataset.rows.column("prompt").take(rows).to_pylist()
        images = embed_images(dataset.images(self.images.strategy, kept=False), encoder)
        texts = encoder.texts(prompts).cpu()
        labels = dataset.rows.column("label").to_numpy()[rows]
        pairs = [(images[labels == label], texts[labels == label]) for label in range(len(dataset.class_names))]
        within_images = [_mean_of_pairs(own) for own, _ in pairs]
        within_texts = [_mean_of_pairs(own) for _, own in pairs]
        across = [float((own @ others.T).mean()) for own, others in pairs]
        return {
            "images": float(np.mean(within_images)),
            "texts": float(np.mean(within_texts)),
            "across": float(np.mean(across)),
        }


def _mean_of_pairs(vectors) -> float:
    """Mean cosine of two different ones."""
    n, total = len(vectors), vectors.sum(0)
    return float((total @ total - n) / (n * (n - 1)))


@dataclass(frozen=True)
class StudyPrompts(Work):
    """Prompts of one class, drawn anew and held against a fixed set; its figures are named "PROMPT MEASURE".

    Attributes:
        prompts: the first is what the others are compared with.
    """

    kind = "prompts"
    reference: Drawn
    class_name: str
    prompts: tuple[str, ...]
    images_per_prompt: int
    encoder: str
    seed: int

    @property
    def title(self) -> str:
        """The class."""
        return f"prompts of {self.class_name}"

    @property
    def cost(self) -> Cost:
        """Each prompt is drawn as its reference was."""
        images = len(self.prompts) * self.images_per_prompt
        rows = self.reference.of.cost.unet_rows * images // self.reference.of.count_of()
        return Cost(unet_rows=rows, encoded_images=images + self.reference.count)

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Draw the prompts and measure each variant."""
        from synthset.diagnosis.config import DiagnoseConfig, StudyConfig
        from synthset.diagnosis.prompt_study import study_prompts

        write_text(home / "prompts.txt", "\n".join(self.prompts) + "\n")
        study = StudyConfig(
            class_name=self.class_name,
            reference=str(lab.home(self.reference.of) / "dataset"),
            prompts=str(home / "prompts.txt"),
            images_per_prompt=self.images_per_prompt,
        )
        result = study_prompts([], home / "study", study, DiagnoseConfig(encoder=self.encoder, seed=self.seed))
        return {
            f"{row.prompt} {name}": value
            for row in result.variants
            for name in ("accuracy", "centroid_distance", "centroid_shift")
            if (value := getattr(row, name)) is not None
        }


@dataclass(frozen=True)
class Correlate(Work):
    """Pearson's correlation of two figures over several sets."""

    kind = "correlate"
    name: str
    x: tuple[Value, ...]
    y: tuple[Value, ...]

    @property
    def title(self) -> str:
        """What is correlated."""
        return self.name

    @property
    def cost(self) -> Cost:
        """Nothing."""
        return Cost()

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """Of the figures of other work. Raises DataError where one of them is the same for all sets."""
        x, y = ([value.read(lab) for value in values] for values in (self.x, self.y))
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            raise DataError(f"Expected sets that differ for the correlation of '{self.name}', got one value for all.")
        return {"r": float(np.corrcoef(x, y)[0, 1]), "sets": len(x)}


@dataclass(frozen=True)
class Worth(Work):
    """How many real images do as well as the synthetic ones: on the curve of real images, by its logarithm.

    Attributes:
        synthetic: accuracy of the synthetic images, and their number.
        real: accuracies of growing numbers of real images, and those numbers.
    """

    kind = "worth"
    synthetic: Value
    num_synthetic: int
    real: tuple[Value, ...]
    num_real: tuple[int, ...]

    @property
    def title(self) -> str:
        """What it is."""
        return "real images that do as well"

    @property
    def cost(self) -> Cost:
        """Nothing."""
        return Cost()

    def run(self, home: Path, lab: Lab) -> Mapping[str, float]:
        """The curve is made to rise, and read at the synthetic accuracy; beyond its ends it is cut."""
        heights = np.maximum.accumulate([value.read(lab) for value in self.real])
        equal = float(np.exp(np.interp(self.synthetic.read(lab), heights, np.log(self.num_real))))
        return {"real images": equal, "synthetic images for one real": self.num_synthetic / equal}

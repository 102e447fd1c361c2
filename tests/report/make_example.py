"""A diagnosis folder as `diagnose` writes it, with made-up but plausible figures.

Run it to look at a report: python tests/report/make_example.py FOLDER [NUMBER_OF_CLASSES]
"""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from synthset.classifiers.scoring import wilson_interval
from synthset.core.files import write_json
from synthset.report import build_report

OPTIONAL = ("correlations", "ambiguity", "tsne", "prompts", "galleries", "filters", "evaluations")
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\"><b>'&amp;`{{ 7*7 }}${x}%{y}",
    "w" * 3000,
    "שלום עולם\u202e‮",
    "👩‍👩‍👧‍👦 \u2028 数字",
    "--ink",
    "1",
    "1",
    "",
)
REAL = "digits"
SETS = ("base", "guidance 2.5", "prompt_augmentation")
FINE = ("fine", "Real and synthetic images are recognised as well as those of other classes.", "")
AILING = (
    (
        "CLIP misreads the prompt",
        "Neither real nor synthetic images are near their prompt: it means something else to CLIP.",
        "Clarify the class with a phrase (create --phrases).",
    ),
    (
        "too little diversity",
        "The synthetic images are right, but scatter far less than the real ones.",
        "Lower the guidance (--guidance-scale 2.5 or 1:5) or augment the prompts (--strategy prompt_augmentation).",
    ),
    (
        "synthetic concept is shifted",
        "The synthetic images agree with each other, but show another concept than the real ones.",
        "Clarify the class with a phrase (create --phrases), then filter what still differs (filter --method clip).",
    ),
    (
        "generator cannot draw it",
        "CLIP recognises real images of the class by its prompt, but not the synthetic ones.",
        "Filter with refill (create --refill clip), raise the guidance if it is below 2.5, or use another generator.",
    ),
)


def write_example(folder, class_names=NAMES, sets=SETS, without=(), has_real=True):
    """Write a diagnosis folder; `without` names optional parts that are left out."""
    random = np.random.default_rng(len(class_names))
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "summary": _summary(random, sets, has_real),
        "classes": _classes(random, class_names, sets, has_real),
        "matrix": _matrix(random, [*([REAL] if has_real else []), *sets]),
        "correlations": _correlations(),
        "ambiguity": _ambiguity(random, class_names, sets),
        "tsne": _tsne(random, class_names, sets),
        "prompts": _prompts(class_names, sets),
        "galleries": _galleries(random, class_names, sets),
        "filters": _filters(random, class_names, sets[0]),
    }
    for name, rows in tables.items():
        if name not in without:
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    if "evaluations" not in without:
        for i, name in enumerate(sets):
            write_json(folder / "evaluations" / f"{i:03d}.json", _evaluation(random, name, class_names))
    write_json(folder / "diagnosis.json", _info(class_names, sets, without, has_real))
    return folder


def _info(class_names, sets, without, has_real):
    job = {
        "classes": list(class_names),
        "seed": 64,
        "images_per_class": 100,
        "strategies": {"base": "7.5"},
        "generation": {"model": "miniature", "scheduler": "ddim", "num_inference_steps": 20, "height_px": 32},
    }
    accounting = {"requested": 1000, "ok": 996, "flagged": 0, "failed": 4, "retries": 7}
    synthetic = [
        {
            "name": name,
            "kind": "synthetic",
            "folder": f"sets/{name}",
            "images": 996,
            "prompts": 10,
            "strategies": ["base"],
            "job": job,
            "accounting": accounting,
            "kept": 996 - 60 * (i == 0),
            "rejected": 60 * (i == 0),
        }
        for i, name in enumerate(sets)
    ]
    real = {"name": REAL, "kind": "real", "folder": None, "images": 1797, "prompts": 0, "strategies": []}
    real |= {"job": None, "accounting": None, "kept": 1797, "rejected": 0}
    config = {"threshold": 0.1, "keep_share": None, "encoder": {"name": "miniature", "fingerprint": "ab12"}}
    notes = [{"set": sets[0], "method": "clip", "config": config, "kept": 936, "rejected": 60}]
    return {
        "format_version": 1,
        "encoder": {"name": "miniature", "fingerprint": "5314f9b25ede52e85cdcc", "dimension": 128},
        "class_names": list(class_names),
        "seed": 0,
        "seconds": 42.5,
        "sets": [real, *synthetic] if has_real else synthetic,
        "backbone": {"name": "timm:inception_v3", "dimension": 2048},
        "averages": {
            "pairings": 30,
            "of": 49,
            "centroid_accuracy": 0.771,
            "knn1_accuracy": 0.746,
            "knn5_accuracy": 0.773,
            "knn5_better": 0.4,
        },
        "merged_prompts": {f"{sets[0]} = {sets[-1]}-PRMT": [sets[0], sets[-1]]},
        "separability": {"accuracy": 1.0, "margin": 0.31, "images": 2000, "texts": 30},
        "filters": [] if "filters" in without else notes,
        "libraries": {"synthset": "0.1.0", "torch": "2.9.0"},
    }


def _summary(random, sets, has_real):
    real = {"set": REAL, "kind": "real", "images": 1797, "centroid_distance": 0.048, "vendi_score": 7.9}
    rows = [real | {"average_cosine_similarity": 0.81}] if has_real else []
    for i, name in enumerate(sets):
        own = 0.92 - 0.05 * i
        prompt = own - 0.06
        rows.append(
            {
                "set": name,
                "kind": "synthetic",
                "images": 996,
                "centroid_distance": 0.014 + 0.011 * i,
                "average_cosine_similarity": 0.9 - 0.03 * i,
                "vendi_score": 3.2 + 1.4 * i,
                "own_accuracy": own,
                "prompt_accuracy": prompt,
                "diversity_error": 1 - own,
                "shift_error": own - prompt,
                "transfer_accuracy": own - 0.15,
                "precision": 0.8 - 0.05 * i,
                "recall": 0.4 + 0.1 * i,
                "density": 0.9,
                "coverage": 0.5 + 0.1 * i,
                "frechet_distance": 0.31 - 0.04 * i,
                "frechet_mean": 0.2 - 0.02 * i,
                "frechet_covariance": 0.11 - 0.02 * i,
                "frechet_rows_a_dimension": 996 / 128,
                "backbone_frechet_distance": 31.4 - 4 * i,
                "backbone_frechet_mean": 20.3 - 2 * i,
                "backbone_frechet_covariance": 11.1 - 2 * i,
                "backbone_rows_a_dimension": 996 / 2048,
                "centroid_shift": 0.21 - 0.02 * i,
            }
        )
    # the first row decides the columns of from_pylist
    return [dict.fromkeys(rows[-1]) | row for row in rows]


def _classes(random, class_names, sets, has_real):
    rows = []
    for i, name in enumerate(sets):
        for index, class_name in enumerate(class_names):
            ails = (index * 7 + i) % 10 < 3 - i
            verdict, explanation, remedy = AILING[(index + i) % len(AILING)] if ails else FINE
            accuracy = random.uniform(0.2, 0.6) if ails else random.uniform(0.75, 1)
            rows.append(
                {
                    "set": name,
                    "class_index": index,
                    "class_name": class_name,
                    "images": 100,
                    "real_accuracy": accuracy if has_real else None,
                    "synthetic_accuracy": min(1, accuracy + random.uniform(-0.1, 0.2)),
                    "own_accuracy": random.uniform(0.8, 1),
                    "transfer_accuracy": min(1, accuracy + 0.1) if has_real else None,
                    "centroid_distance": random.uniform(0.01, 0.04),
                    "real_centroid_distance": 0.05 if has_real else None,
                    "centroid_shift": random.uniform(0.1, 0.3) if has_real else None,
                    "verdict": verdict,
                    "explanation": explanation,
                    "remedy": remedy,
                    "evidence": f"Real images by the prompts: {round(50 * accuracy)} of 50, adjusted p < 0.001.",
                }
            )
    return rows


def _matrix(random, names):
    points = [f"{name}-IM" for name in names] + [f"{name}-PRMT" for name in names if name != REAL]
    rows = []
    for query in points:
        for reference in points:
            accuracy = random.uniform(0.75, 0.98) if reference.endswith("IM") else random.uniform(0.5, 0.85)
            has_neighbours = not reference.endswith(f"{names[-1]}-PRMT")
            rows.append(
                {
                    "experiment": len(rows) + 1,
                    "reference": reference,
                    "query": query,
                    "centroid_accuracy": accuracy,
                    "low": accuracy - 0.02,
                    "high": accuracy + 0.02,
                    "knn1_accuracy": accuracy - 0.01 if has_neighbours else None,
                    "knn5_accuracy": accuracy + 0.01 if has_neighbours else None,
                    "average_cosine_similarity": random.uniform(0.2, 0.9),
                    "queries": 500,
                }
            )
    return rows


def _correlations():
    names = ("pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high")
    values = {
        "centroid_distance": (0.91, 0.42, 0.99, 1.0, None, None),
        "backbone_frechet_mean": (-0.83, -0.98, 0.11, -0.8, None, None),
        "precision": (None,) * 6,
    }
    return [
        {"accuracy": accuracy, "measure": measure, "n": 4, **dict(zip(names, row, strict=True))}
        for accuracy in ("transfer_accuracy", "small_cnn on digits")
        for measure, row in values.items()
    ]


def _ambiguity(random, class_names, sets):
    rows = []
    for name in sets:
        accuracies = np.sort(random.uniform(0.2, 1, len(class_names)))
        for rank, index in enumerate(random.permutation(len(class_names)).tolist(), start=1):
            accuracy = float(accuracies[rank - 1])
            rows.append(
                {
                    "set": name,
                    "class_index": index,
                    "class_name": class_names[index],
                    "prompt": f"an image of a {class_names[index]}",
                    "accuracy": accuracy,
                    "low": max(0.0, accuracy - 0.08),
                    "high": min(1.0, accuracy + 0.08),
                    "taken_for": class_names[(index + 3) % len(class_names)] if accuracy < 0.95 else None,
                    "share_taken": 0.6 * (1 - accuracy),
                    "rank": rank,
                    "judged_by": "prompts",
                    "verdict": AILING[0][0] if rank == 1 else FINE[0],
                    "drafted": rank == 1,
                }
            )
    return rows


def _tsne(random, class_names, sets):
    centres = random.normal(0, 40, (len(class_names), 2))
    rows = []
    for number, name in enumerate((REAL, *sets)):
        for _ in range(300):
            index = int(random.integers(len(class_names)))
            x, y = centres[index] + random.normal(0, 7 - 1.5 * (number > 0), 2) + 3 * number
            kind = "synthetic" if number else "real"
            rows.append({"set": name, "kind": kind, "class_index": index, "x": float(x), "y": float(y)})
    return rows


def _prompts(class_names, sets):
    return [
        {
            "set": name,
            "class_index": index,
            "class_name": class_name,
            "strategy": "base",
            "prompt": f"{look} of a {class_name}",
            "guidance_scale": 7.5,
            "images": 50,
        }
        for name in sets
        for index, class_name in enumerate(class_names)
        for look in ("a photo", "a drawing")
    ]


def _galleries(random, class_names, sets):
    rows = []
    for index, class_name in list(enumerate(class_names))[:40]:
        for name in (REAL, *sets):
            for copy in range(8):
                was_kept = name != sets[0] or copy < 6
                rows.append(
                    {
                        "set": name,
                        "strategy": "" if name == REAL else "base",
                        "class_index": index,
                        "class_name": class_name,
                        "image": _png(random, index, 8 if name == REAL else 32),
                        "kept": was_kept,
                        "reason": "" if was_kept else f"p of its class is {0.01 * copy:.2f}, at most 0.1",
                    }
                )
    return rows


def _filters(random, class_names, set_name):
    rows = []
    for i in range(1000):
        score = float(random.beta(5, 1))
        reason = "" if score > 0.1 else "p of its class is low"
        index = i % len(class_names)
        row = {"set": set_name, "method": "clip", "class_index": index, "class_name": class_names[index]}
        rows.append(row | {"score": score, "keep": score > 0.1, "reason": reason})
    return rows


def _evaluation(random, name, class_names):
    k = len(class_names)
    each = 50
    confusion = np.zeros((k, k), int)
    for true in range(k):
        predicted = np.where(random.random(each) < 0.85, true, random.integers(0, k, each))
        confusion[true] = np.bincount(predicted, minlength=k)
    hits = confusion.diagonal()
    accuracy = float(hits.sum() / confusion.sum())
    low, high = wilson_interval(int(hits.sum()), int(confusion.sum()))
    return {
        "name": f"{name}-model",
        "real": REAL,
        "class_names": list(class_names),
        "n": int(confusion.sum()),
        "correct": int(hits.sum()),
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "per_class_accuracy": (hits / each).tolist(),
        "mean_class_accuracy": float((hits / each).mean()),
        "confusion": confusion.tolist(),
        "model": {
            "num_training": 45 * k,
            "epoch": 38,
            "settings": {
                "architecture": "resnet18",
                "epochs": 40,
                "batch_size": 64,
                "learning_rate": 0.00125,
                "weight_decay": 0.05,
                "augmentation": "standard",
                "image_size_px": 32,
                "weights": "timm/resnet18.a1_in1k",
                "freeze": True,
                "layer_decay": 1.0,
                "teacher": "ab" * 32,
                "teacher_share": 0.5,
                "teacher_temperature": 2.0,
            },
            "seen": f"the photographs that timm/{class_names[0]} learned from",
        },
    }


def _png(random, index, side_px):
    pixels = random.integers(0, 70, (side_px, side_px, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    ImageDraw.Draw(image).text((side_px // 4, 0), str(index % 10), fill="white", font_size=side_px - 2)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    k = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    names = NAMES if k == 10 else tuple(f"class {i}" for i in range(k))
    print(build_report(write_example(Path(sys.argv[1]), names)))

#!/usr/bin/env bash
# Writes the golden files into the current folder, which must be this one: bash make.sh
# With the Python that `python` is, and the code at hand: only ever by the commit that README.md names.
set -euo pipefail
export SYNTHSET_CACHE=cache OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
rm -rf real refilled guided worded cache trained interrupted tuned tuned-halfway diagnosis scratch

# ---- eight real digits, as an image folder
python - <<'PYTHON'
from pathlib import Path
import synthset
digits = synthset.load_real("digits")
for name in ("three", "eight"):
    Path("real", name).mkdir(parents=True)
    rows = [i for i in range(len(digits)) if digits.class_names[digits.labels[i]] == name]
    for number, row in enumerate(rows[:4]):
        Path("real", name, f"{number}.png").write_bytes(digits.read(row))
PYTHON

# ---- a dataset with a refill and verdicts
synthset create --classes three eight --strategy base random_guidance --images-per-class 2 --steps 3 --resize 32 \
  --shard-size 4 --refill clip --threshold 0.95 --max-draws 10 --device cpu --dtype float32 --output-dir refilled
synthset filter refilled --method duplicates --hash-distance 16 --similarity 0.8 --real real --device cpu

# ---- a dataset that begins at real images
echo 'seven: digit seven' > phrases.yaml
synthset create --dataset digits --resize 8 --strategy base@1:5 class_prompt@2.5 --images-per-class 2 --steps 4:8 \
  --initial-images digits --shots 1 --negative-prompt "a blurry image" "an image of a letter" --phrases phrases.yaml \
  --shard-size 20 --device cpu --dtype float32 --output-dir guided

# ---- a dataset of everything else that is recorded of a job
synthset create --classes three eight --strategy language_enhancement@2:4 prompt_augmentation interpolate_three \
  --images-per-class 1 --steps 4 --resize 8 --initial-images real --shots 3 --shots-seed 1 --strength 0.6 \
  --sentences 2 --guidance-interval 0.2 0.8 --cache-interval 2 --scheduler euler --seed 7 \
  --device cpu --dtype float32 --output-dir worded

# ---- trainings: a finished one with its evaluation, and one that was killed after its first checkpoint
# A checkpoint is written when the last one is 10 s old. To have one after an epoch of a millisecond, the process is
# stopped for 11 s, again and again.
interrupt() {  # FOLDER COMMAND…
  local folder=$1
  shift
  "$@" --output-dir "$folder" &
  until [ -d "$folder" ]; do sleep 0.002; done
  until [ -f "$folder/resume.safetensors" ]; do kill -STOP $!; sleep 11; kill -CONT $!; sleep 0.01; done
  kill -KILL $!
  wait $! || true
}
training="guided --model golden_net --epochs 12 --batch-size 9 --learning-rate 0.02 --weight-decay 0.01 --device cpu"
python golden_net.py train $training --output-dir trained
python golden_net.py eval trained --real digits
interrupt interrupted python golden_net.py train $training --seed 1

# ---- tunings, likewise
tuning="guided --real digits --shots 1 --strategy real_guidance --device cpu"
synthset tune $tuning --epochs 3 --output-dir tuned
interrupt tuned-halfway synthset tune $tuning --epochs 50

# ---- a diagnosis
synthset diagnose refilled --real real --evaluations trained tuned --tsne-images 24 --device cpu --output-dir diagnosis

# ---- what the same code makes of these files, for expected.json: the two resumed, exports, a small_cnn
mkdir scratch
cp -r interrupted tuned-halfway scratch
python golden_net.py train $training --seed 1 --output-dir scratch/interrupted
synthset tune $tuning --epochs 50 --output-dir scratch/tuned-halfway
synthset export refilled --output-dir scratch/export
synthset train guided --model small_cnn --epochs 1 --batch-size 9 --device cpu --output-dir scratch/small_cnn
python - <<'PYTHON'
import hashlib, json
from pathlib import Path
from safetensors.torch import load_file
import synthset

def read(path):
    return json.loads(Path(path).read_text())

def resumed(name):
    note = read(f"scratch/{name}/training.json")
    weights = Path(f"scratch/{name}/model.safetensors")
    return {
        "train_losses": [epoch["train_loss"] for epoch in note["history"]],
        "chosen_epoch": note["chosen"]["epoch"],
        "accuracy": read(f"scratch/{name}/evaluation/digits.json")["accuracy"] if name == "tuned-halfway" else None,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }

small = load_file("scratch/small_cnn/model.safetensors")
expected = {
    "plan_hashes": {name: read(f"{name}/manifest.json")["job"]["plan_hash"] for name in ("refilled", "guided", "worded")},
    "kept": {
        name: [bool(kept) for kept in synthset.open_dataset(name).kept()] for name in ("refilled", "guided", "worded")
    },
    "rows_hashes": {name: synthset.open_dataset(name).rows_hash for name in ("refilled", "guided", "worded")},
    "export": sorted(str(path.relative_to("scratch/export")) for path in Path("scratch/export").rglob("*.png")),
    "resumed": {name: resumed(name) for name in ("interrupted", "tuned-halfway")},
    "small_cnn": {
        "train_loss": read("scratch/small_cnn/training.json")["history"][0]["train_loss"],
        "weights": {name: [str(value.dtype), *value.shape] for name, value in small.items()},
    },
}
Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n")
PYTHON

# ---- packed without what a test has made anew: a page with plotly inlined, pictures, the vectors of 899 tested digits
find cache -name 'part-*' -size +100k -delete
rm -rf diagnosis/report.html ./*/preview.png ./*/evaluation/*.png ./*/*/evaluation/*.png scratch phrases.yaml
folders="cache diagnosis guided interrupted real refilled trained tuned tuned-halfway worded"
tar --create --sort=name --owner=0 --group=0 --numeric-owner $folders | xz -9e > golden.tar.xz
rm -rf $folders

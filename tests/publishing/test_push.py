"""A push brings exactly what is meant to be published, once, through kills and faults, and says what is in the way."""

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from fake_hub import TOKEN, Fault, Repo
from huggingface_hub import constants

from outcomes import contents
from small_datasets import make, photos
from synthset.core.errors import DataError, UsageError
from synthset.core.files import read_json, write_json
from synthset.dataset.reader import open_dataset
from synthset.dataset.relabels import write_relabels
from synthset.dataset.verdicts import SCHEMA, Verdicts, write_verdicts
from synthset.publishing import repository
from synthset.publishing.licences import Licence
from synthset.publishing.stage import push

# of the hub's own library, as it sends a large file by HTTP
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PUSHED = {
    *("README.md", "data/train-00000.parquet", "data/train-00001.parquet", "data/train-00002.parquet"),
    *("failures.parquet", "manifest.json", "plan.parquet", "preview.png"),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "pets"
    make(folder)
    return folder


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited, by nobody."""
    seconds = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def pets(drawn, tmp_path):
    """A dataset of one's own, to change."""
    return Path(shutil.copytree(drawn, tmp_path / "pets"))


def files_of(hub, name="ada/pets", kind="dataset"):
    return {path: data for path, data in hub.repos[kind, name].files.items() if path != ".gitattributes"}


def judge(folder, keep, reason="x", name="mine"):
    dataset = open_dataset(folder)
    ids = dataset.rows.column("request_id").to_pylist()
    table = pa.table([ids, keep, [reason] * len(ids), [0.0] * len(ids)], SCHEMA.names)
    write_verdicts(folder, Verdicts(name, {"real": {"name": "/home/ada/photos"}}, table, dataset.rows_hash))


def fetch(hub, folder, name="ada/pets", kind="dataset"):
    """What was pushed, as a folder."""
    for path, data in files_of(hub, name, kind).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def test_a_dataset_arrives_whole_private_and_opens_again(drawn, hub, tmp_path, caplog):
    result = push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert hub.repos["dataset", "ada/pets"].private
    arrived = files_of(hub)
    assert set(arrived) == PUSHED == set(result.files)
    for path in PUSHED - {"README.md", "manifest.json"}:
        assert arrived[path] == (drawn / path).read_bytes(), path
    assert result.url == f"{hub.endpoint}/datasets/ada/pets"
    assert (result.sent, result.commits, result.num_bytes) == (8, 1, sum(map(len, arrived.values())))
    back = open_dataset(fetch(hub, tmp_path / "back"))
    assert back.rows == open_dataset(drawn).rows
    assert back.manifest["job"] == open_dataset(drawn).manifest["job"]
    assert arrived["README.md"].startswith(b"---\nlicense: other\n")
    assert result.licences == (Licence("fake"),)
    assert "The licence of 'fake' is not known, so the card says 'other'" in caplog.text

    hub.reset_counts()
    again = push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert (again.sent, again.commits, hub.sent_bytes, hub.puts) == (0, 0, 0, 0)
    assert files_of(hub) == arrived


def test_nothing_real_nor_unknown_is_ever_pushed(pets, hub, caplog):
    real = photos()
    files = [real.read(row) for row in range(len(real))]
    hashes = [hashlib.sha256(data).hexdigest() for data in files]
    pq.write_table(pa.table({"sha256": hashes, "bytes": files}), pets / "real-images.parquet", compression="none")
    judge(pets, [True] * 20, "near copy of a real image: Image 3 of '/home/ada/photos' (cat/3.jpg)")
    secret = b"hf_abcdefghijklmnopqrst of /home/ada"
    for name in ("notes.txt", "data/notes.parquet", ".lock", "data/.train-00009.parquet.17.part", "real/1.png"):
        (pets / name).parent.mkdir(exist_ok=True)
        (pets / name).write_bytes(secret)
    for include in (False, True):
        result = push(pets, "ada/pets", endpoint=hub.endpoint, include_rejected=include, overwrite=True)
        arrived = files_of(hub)
        assert set(arrived) == PUSHED | ({"filters/mine.parquet"} if include else set())
        assert {"notes.txt", "real", "real-images.parquet"} <= set(result.left_out)
        everything = b"".join(arrived.values())
        assert not [data for data in (secret, b"/home/ada", *files) if data in everything]
    verdicts = pq.read_table(pa.BufferReader(arrived["filters/mine.parquet"]))
    assert set(verdicts["reason"].to_pylist()) == {"near copy of a real image: Image 3 of 'photos' (cat/3.jpg)"}
    assert b"The real images of `real-images.parquet` are not part of what was published." in arrived["README.md"]
    assert "Not published: " in caplog.text


def test_paths_of_this_machine_are_taken_out(pets, hub, tmp_path):
    manifest = read_json(pets / "manifest.json")
    manifest["job"]["generation"]["model"] = "/home/ada/my models/sd-cats"
    write_json(pets / "manifest.json", manifest)
    card = pets / "README.md"
    card.write_text(card.read_text("utf-8").replace("`fake`", "`/home/ada/my models/sd-cats`"), encoding="utf-8")
    push(pets, "ada/pets", endpoint=hub.endpoint)
    back = fetch(hub, tmp_path / "back")
    assert open_dataset(back).manifest["job"]["generation"]["model"] == "sd-cats"
    text = (back / "README.md").read_text("utf-8")
    assert "/home" not in text
    assert "`sd-cats`" in text


def test_rejected_images_are_left_out_unless_asked_for(pets, hub, tmp_path, monkeypatch):
    keep = [number % 4 > 0 for number in range(20)]
    judge(pets, keep)
    result = push(pets, "ada/pets", endpoint=hub.endpoint)
    assert result.rejected == 5
    back = open_dataset(fetch(hub, tmp_path / "back"))
    kept = open_dataset(pets).rows.filter(pa.array(keep))
    assert back.rows.select(["request_id", "sha256", "seed"]) == kept.select(["request_id", "sha256", "seed"])
    assert (back.verdicts(), len(back.images())) == ({}, 15)
    assert "5 images that filters or a person rejected were left out" in (back.folder / "README.md").read_text("utf-8")
    again = push(pets, "ada/pets", endpoint=hub.endpoint)
    assert again.sent == 0  # what is written anew for it is the same each time
    with pytest.raises(UsageError, match=r"'ada/pets' holds \d+ other files"):
        push(pets, "ada/pets", endpoint=hub.endpoint, include_rejected=True)
    push(pets, "ada/pets", endpoint=hub.endpoint, include_rejected=True, overwrite=True)
    whole = open_dataset(fetch(hub, tmp_path / "whole"))
    assert (len(whole.images(kept=False)), len(whole.images())) == (20, 15)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    loaded = [
        datasets.load_dataset(str(one.folder), *name)["train"]
        for one, name in ((back, ()), (whole, ()), (whole, ("all",)))
    ]
    assert list(map(len, loaded)) == [15, 15, 20]
    judge(pets, [False] * 20)
    with pytest.raises(DataError, match=r"Expected images that the filters keep in .* all 20 are rejected"):
        push(pets, "ada/other", endpoint=hub.endpoint)
    assert ("dataset", "ada/other") not in hub.repos


def test_relabels_are_in_the_shards_that_are_pushed(pets, hub, tmp_path):
    row = open_dataset(pets).rows.to_pylist()[0]
    write_relabels(pets, {row["sha256"]: "sea_lake"})
    assert row["class_name"] == "cat"
    push(pets, "ada/pets", endpoint=hub.endpoint)
    assert "relabels.parquet" not in files_of(hub)
    back = open_dataset(fetch(hub, tmp_path / "back"))
    assert back.drawn_rows.to_pylist()[0]["class_name"] == "sea_lake"


def test_the_parts_of_a_split_dataset_are_pushed_together(drawn, hub, tmp_path):
    synthset_split = pytest.importorskip("synthset.curation.split").split
    synthset_split(drawn, tmp_path / "parts", train=0.5, validation=0, test=0.5)
    push(tmp_path / "parts", "ada/parts", endpoint=hub.endpoint)
    back = fetch(hub, tmp_path / "back", "ada/parts")
    assert {"README.md", "split.json", "train", "test"} == {entry.name for entry in back.iterdir()}
    assert sum(open_dataset(back / name).rows.num_rows for name in ("train", "test")) == 20


def test_a_push_that_was_killed_goes_on_and_sends_nothing_twice(drawn, hub, tmp_path):
    """The fifth large file finds its sender killed; the commits before it are there, and the files before it."""
    script = f"""
import sys
from synthset.publishing import repository
repository.COMMIT_FILES = 3
from synthset.cli import main
sys.exit(main(["push", {str(drawn)!r}, "ada/pets"]))
"""
    environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    start = lambda: subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL)  # noqa: E731
    running = start()
    hub.faults.append(Fault("PUT", "/lfs/", after=4, act=lambda: running.send_signal(signal.SIGKILL)))
    assert running.wait() == -signal.SIGKILL
    before = dict(files_of(hub))
    assert set(before) == {f"data/train-0000{number}.parquet" for number in range(3)}
    large_before = set(hub.large)
    assert len(large_before) >= 4
    hub.faults.clear()
    hub.reset_counts()
    assert start().wait() == 0
    assert set(files_of(hub)) == PUSHED
    assert hub.puts == 6 - len(large_before)
    assert {path: files_of(hub)[path] for path in before} == before
    sizes = {path: len(data) for path, data in files_of(hub).items()}
    missing = [sizes[path] for path in PUSHED - set(before)]
    assert hub.sent_bytes <= sum(missing)
    assert hub.repos["dataset", "ada/pets"].messages[-1] == "Push pets (2 of 2)"


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (Fault("POST", "/commit/", 500), 1.0),
        (Fault("POST", "/commit/", 429, headers={"Retry-After": "7"}), 7.0),
        (Fault("POST", "/commit/", 412), 1.0),
        (Fault("POST", "/preupload/", 503), 1),
        (Fault("POST", "/objects/batch", 429), 1),
        (Fault("PUT", "/lfs/", 500), 1),
        (Fault("POST", "/repos/create", 502), 1.0),
        (Fault("GET", "/tree/", 504), 1),
        (Fault("GET", "/datasets/ada/pets$", 500), 1.0),
        (Fault("POST", "/validate-yaml", 500), 1.0),
    ],
    ids=lambda value: f"{value.path} {value.status}" if isinstance(value, Fault) else "",
)
def test_what_passes_is_waited_for(drawn, hub, waits, fault, waited):
    hub.faults.append(fault)
    push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert set(files_of(hub)) == PUSHED
    assert waits == [waited]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            Fault("GET", "/datasets/", 401),
            r"Expected a token that the hub accepts, it refused this one \(401: a fault\)",
        ),
        (Fault("POST", "/commit/", 403), r"Expected a token that may write to 'ada/pets', the hub refused it \(403: a"),
        (Fault("POST", "/commit/", 409), r"'ada/pets' to be left alone meanwhile, .* \(409: a fault\)\. Run the same"),
        (Fault("POST", "/commit/", 429), r"Expected the hub to take more, it asks to wait \(429: a fault\)"),
        (Fault("POST", "/commit/", 500), r"Expected an answer of the hub at http://127.0.0.1:\d+, got none that helps"),
        (Fault("POST", "/commit/", 413), r"to take what is pushed to 'ada/pets', it answered 413 \(413: a fault\)"),
        (Fault("PUT", "/lfs/", 403), r"Expected a token that may write to 'ada/pets', the hub refused it"),
    ],
    ids=lambda value: f"{value.path} {value.status}" if isinstance(value, Fault) else "",
)
def test_what_does_not_pass_is_one_line_with_what_to_do(drawn, hub, waits, fault, message):
    fault.times = 100
    hub.faults.append(fault)
    with pytest.raises(DataError, match=message) as caught:
        push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    hub.faults.clear()
    push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert set(files_of(hub)) == PUSHED


def test_a_wrong_token_a_foreign_name_and_no_answer(drawn, hub, waits, monkeypatch):
    with pytest.raises(DataError, match=r"may write to 'others/pets', .* \(403: You don't have the rights to create"):
        push(drawn, "others/pets", endpoint=hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrongwrong")
    with pytest.raises(DataError, match=r"it refused this one \(401: Invalid credentials in Authorization header\)"):
        push(drawn, "ada/pets", endpoint=hub.endpoint)
    with pytest.raises(DataError, match=r"Expected an answer of the hub at http://127.0.0.1:1, got none that helps"):
        push(drawn, "ada/pets", endpoint="http://127.0.0.1:1")
    assert not hub.repos


def test_another_repository_is_left_alone(drawn, hub):
    theirs = {"README.md": b"---\nlicense: mit\n---\nmine", "data/train-00000.parquet": b"1", "old.txt": b"2"}
    hub.repos["dataset", "ada/pets"] = Repo(True, dict(theirs))
    with pytest.raises(UsageError, match=r"'ada/pets' holds 3 other files \(README.md, data/train-00000.parquet, old"):
        push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert files_of(hub) == theirs
    push(drawn, "ada/pets", endpoint=hub.endpoint, overwrite=True)
    assert set(files_of(hub)) == PUSHED


def test_no_commit_holds_files_of_two_versions(drawn, hub, monkeypatch):
    monkeypatch.setattr(repository, "COMMIT_FILES", 2)
    old = dict.fromkeys((*PUSHED, "data/train-00003.parquet"), b"old")
    hub.repos["dataset", "ada/pets"] = repo = Repo(True, dict(old))
    seen = []
    hub.faults.append(Fault("POST", "/commit/", after=1, times=10, act=lambda: seen.append(set(repo.files.values()))))
    result = push(drawn, "ada/pets", endpoint=hub.endpoint, overwrite=True, message="Second version")
    assert result.commits == 4
    assert len(seen) == 3
    assert all(b"old" not in files for files in seen)
    assert repo.messages == [f"Second version ({number} of 4)" for number in range(1, 5)]


def test_who_sees_it_is_never_changed_unasked(drawn, hub):
    hub.repos["dataset", "ada/pets"] = Repo(False)
    with pytest.raises(UsageError, match=r"Expected a private repository, 'ada/pets' is public: .* Give public=True"):
        push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert not files_of(hub)
    assert push(drawn, "ada/pets", endpoint=hub.endpoint, public=True).is_public
    hub.repos["dataset", "ada/mine"] = Repo(True)
    with pytest.raises(UsageError, match="Expected a public repository, 'ada/mine' is private"):
        push(drawn, "ada/mine", endpoint=hub.endpoint, public=True)
    push(drawn, "ada/new", endpoint=hub.endpoint, public=True)
    assert not hub.repos["dataset", "ada/new"].private


def test_what_did_not_arrive_is_noticed(drawn, hub):
    def lose():
        hub.repos["dataset", "ada/pets"].files["plan.parquet"] = b"other"

    hub.faults.append(Fault("GET", "/tree/", after=1, act=lose))
    with pytest.raises(DataError, match=r"Expected in 'ada/pets' what was sent, 1 files are others \(plan.parquet\)"):
        push(drawn, "ada/pets", endpoint=hub.endpoint)


@pytest.mark.parametrize(
    ("card", "expected", "known"),
    [
        ({"license": "openrail++"}, {"license": "openrail++"}, True),
        (
            {"license": "other", "license_name": "cats-only", "license_link": "LICENSE.md"},
            {"license": "other", "license_name": "cats-only", "license_link": "LICENSE.md"},
            True,
        ),
        ({}, {"license": "other"}, False),
    ],
)
def test_the_licence_is_that_of_the_models_own_card(pets, hub, caplog, card, expected, known):
    manifest = read_json(pets / "manifest.json")
    manifest["job"]["generation"]["model"] = "someone/cats-diffusion"
    write_json(pets / "manifest.json", manifest)
    hub.cards["someone/cats-diffusion"] = card
    push(pets, "ada/pets", endpoint=hub.endpoint)
    text = files_of(hub)["README.md"].decode()
    head = yaml.safe_load(text.split("---\n")[1])
    assert {key: value for key, value in head.items() if key.startswith("license")} == expected
    assert head["tags"] == ["synthetic", "synthset"]
    assert ("is not known" in caplog.text) is not known
    assert ("The licence of `someone/cats-diffusion` is not known here" in text) is not known


def test_what_a_person_wrote_into_the_card_stays(pets, hub):
    card = pets / "README.md"
    text = card.read_text("utf-8").replace("license: other", "license: mit").replace("# pets", "# My pets")
    card.write_text(text, encoding="utf-8")
    push(pets, "ada/pets", endpoint=hub.endpoint)
    assert files_of(hub)["README.md"].decode() == text


def test_a_dry_run_lists_all_and_connects_to_nothing(drawn, own_folder, run, monkeypatch, caplog):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it connects"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = contents(drawn)
    code, out, _ = run("push", drawn, "ada/pets", "--dry-run")
    assert code == 0
    lines = out.split("\n")
    assert {line.split()[0] for line in lines if line.startswith(tuple(PUSHED))} == PUSHED
    assert "Nothing was sent. It would be a dataset 'ada/pets', seen by its owner alone: 8 files, 0.0" in out
    assert "The licence of 'fake' is not known" in caplog.text
    code, out, _ = run("push", drawn, "ada/pets", "--dry-run", "--public", "--json")
    told = json.loads(out)["push"]
    assert (told["sent"], told["url"], told["is_public"]) == (0, "", True)
    assert set(told["files"]) == PUSHED
    assert contents(drawn) == before


def test_offline_without_a_token_and_of_nothing_it_is_one_line(drawn, own_folder, refuse, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set. Unset it; or give --dry-run." in refuse("push", drawn, "ada/pets")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert "Log in with 'hf auth login', or set HF_TOKEN" in refuse("push", drawn, "ada/pets")
    for name in ("pets", "pets/..", "ada/a b", "\u00e9/pets"):
        assert f"and '.', got '{name}'. Name one such" in refuse("push", drawn, name, "--dry-run")
    line = refuse("push", "nowhere", "ada/pets", "--dry-run", code=1)
    assert "Expected a Synthset dataset, or a model, in 'nowhere', found neither" in line


@pytest.mark.parametrize("name", ["ada/pets.git", f"ada/{'x' * 97}"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_name_that_the_hub_gives_to_nobody_is_refused_before_anything_is_asked(drawn, hub, name, dry_run):
    with pytest.raises(UsageError, match="Expected a repository as the hub names them"):
        push(drawn, name, endpoint=hub.endpoint, dry_run=dry_run)
    assert not hub.asked


def test_a_token_with_a_letter_of_another_script_is_told(drawn, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_gооdgооdgооdgооd")
    with pytest.raises(UsageError, match="in ASCII, got another"):
        push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert not hub.asked


def test_the_command_pushes_and_says_where_to(drawn, hub, own_folder, run, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", hub.endpoint)
    code, out, err = run("push", drawn, "ada/pets", "--message", "Pets")
    assert (code, err) == (0, "")
    assert "8 files, 0.0" in out
    assert ": 8 sent in 1 commit, 0 were there. Seen by its owner alone." in out
    assert out.split()[-1] == f"{hub.endpoint}/datasets/ada/pets"
    assert hub.repos["dataset", "ada/pets"].messages == ["Pets"]
    assert ": none sent, 8 were there." in run("push", drawn, "ada/pets")[1]


def test_a_link_is_no_file_to_push(pets, hub, tmp_path):
    (tmp_path / "elsewhere").write_bytes((pets / "plan.parquet").read_bytes())
    (pets / "plan.parquet").unlink()
    (pets / "plan.parquet").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"Expected a file at '.*plan.parquet', got a link"):
        push(pets, "ada/pets", endpoint=hub.endpoint)
    assert not hub.repos


def test_the_tokens_stay_out_of_logs(drawn, hub, caplog):
    caplog.set_level(logging.DEBUG)
    push(drawn, "ada/pets", endpoint=hub.endpoint)
    assert TOKEN not in caplog.text

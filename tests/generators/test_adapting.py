"""LoRAs and embeddings against diffusers' own loading of them, and all that is refused."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import tiny_pipelines as tiny
import torch
from drawn_images import difference, make_request, pixels_of
from safetensors.torch import load_file, save_file
from tiny_additions import as_kohya, load, write_embedding, write_lora

import synthset
from synthset.core.errors import ConfigChangedError, ModelError, UsageError
from synthset.create.config import CreateConfig
from synthset.generators.additions import Additions
from synthset.generators.loading import load_generator
from synthset.generators.names import SCHEDULERS
from synthset.generators.sampling import SamplingOptions
from tiny_models import build_stable_diffusion

STEPS = 2
OPTIONS: dict[str, Any] = {"num_inference_steps": STEPS, "height_px": 32, "width_px": 32, "device": "cpu"}
BUILDERS = {
    "SD": build_stable_diffusion,
    "SDXL": tiny.build_sdxl,
    "SD3": tiny.build_sd3,
    "Flux": tiny.build_flux,
    "PixArt": tiny.build_pixart,
}


@pytest.fixture(scope="module")
def tmp(tmp_path_factory):
    return tmp_path_factory.mktemp("adapting")


@pytest.fixture(scope="module")
def folders(tmp):
    """Checkpoints by name, each built when it is first asked for."""
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = BUILDERS[name](tmp / name)
        return built[name]

    return get


@pytest.fixture(scope="module")
def lora(tmp, folders):
    """One of the UNet and the text encoder of the tiny Stable Diffusion."""
    return write_lora(tmp / "lora", folders("SD"))


def draw(folder: Path, prompt: str = "a cat", **options: Any) -> Any:
    return pixels_of(load_generator(str(folder), **OPTIONS, **options).generate([request(prompt)]))[0]


def request(prompt: str) -> Any:
    return make_request(prompt, guidance_scale=3.0, seed=1)


def draw_with_peer(folder: Path, change: Any, prompt: str = "a cat") -> Any:
    """diffusers' own pipeline after a change of it."""
    name = load_generator(str(folder), **OPTIONS).config.scheduler
    peer = load(folder)
    if name in SCHEDULERS:
        peer.scheduler = getattr(diffusers, SCHEDULERS[name]).from_config(peer.scheduler.config)
    change(peer)
    noise = torch.Generator().manual_seed(1)
    return peer(prompt, num_inference_steps=STEPS, height=32, width=32, guidance_scale=3.0, generator=noise).images[0]


def with_lora(path: Path, scale: float, *more: tuple[Path, float]) -> Any:
    def change(peer: Any) -> None:
        for number, (file, _) in enumerate(((path, scale), *more)):
            peer.load_lora_weights(
                str(file.parent), weight_name=file.name, use_safetensors=True, adapter_name=f"of{number}"
            )
        peer.set_adapters([f"of{number}" for number in range(1 + len(more))], [scale, *(each for _, each in more)])

    return change


# ---- LoRA -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SD", "SDXL", "SD3", "Flux"])
def test_a_lora_draws_what_diffusers_draws_with_it_beside_the_weights(name, folders, tmp):
    folder = folders(name)
    before = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}
    path = write_lora(tmp / f"lora-{name}", folder, text=name in ("SD", "SDXL"))
    ours = draw(folder, additions=Additions(lora=(f"{path}:0.5",)))
    assert difference(ours, draw_with_peer(folder, with_lora(path, 0.5))) <= 2
    assert difference(ours, draw(folder)) > 20
    assert {path: path.read_bytes() for path in folder.rglob("*.safetensors")} == before


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")  # of the peer
def test_several_loras_add_up_each_by_its_scale(folders, lora, tmp):
    other = write_lora(tmp / "other", folders("SD"), seed=1, text=False)
    ours = draw(folders("SD"), additions=Additions(lora=(f"{lora}:0.5", f"{other}:-0.25")))
    assert difference(ours, draw_with_peer(folders("SD"), with_lora(lora, 0.5, (other, -0.25)))) <= 2
    assert difference(ours, draw(folders("SD"), additions=Additions(lora=(f"{lora}:0.5",)))) > 20


def test_a_lora_of_kohyas_scripts_is_read_with_its_alpha(folders, lora):
    path = as_kohya(lora, alpha=1.0)  # of rank 2: half as strong
    ours = draw(folders("SD"), additions=Additions(lora=(str(path),)))
    assert difference(ours, draw_with_peer(folders("SD"), with_lora(path, 1.0))) <= 2
    assert difference(ours, draw(folders("SD"))) > 20


def test_a_lora_is_in_the_weights_before_our_shortcuts_change_the_unet(folders, lora):
    options: dict[str, Any] = {"sampling": SamplingOptions(cache_interval=2)}
    cached = draw(folders("SD"), additions=Additions(lora=(str(lora),)), **options)
    assert difference(cached, draw(folders("SD"), **options)) > 20


def test_the_job_has_the_content_and_the_scale_of_a_lora_not_its_place(folders, lora, tmp):
    moved = Path(shutil.copy(lora, tmp / "moved.safetensors"))

    def describe(*loras: str) -> dict[str, Any]:
        return load_generator(str(folders("SD")), **OPTIONS, additions=Additions(lora=loras)).config.describe()

    first, same, weaker = describe(str(lora)), describe(f"{moved}:1.0"), describe(f"{lora}:0.5")
    assert first["lora_hash"] == same["lora_hash"] == weaker["lora_hash"]
    assert (first["lora_scale"], same["lora_scale"], weaker["lora_scale"]) == ((1.0,), (1.0,), (0.5,))
    assert (first["lora"], same["lora"]) == (("pytorch_lora_weights.safetensors",), ("moved.safetensors",))
    assert first["weights_hash"] == weaker["weights_hash"]
    assert "lora" not in describe()


def edited(path: Path, change: Any) -> Path:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path.with_name("edited.safetensors"))
    return path.with_name("edited.safetensors")


def add_stray(tensors: dict[str, Any]) -> None:
    for half, shape in (("A", (2, 16)), ("B", (16, 2))):
        tensors[f"unet.down_blocks.9.attentions.0.to_q.lora_{half}.weight"] = torch.zeros(shape)


def add_dora(tensors: dict[str, Any]) -> None:
    tensors["unet.mid_block.dora_scale"] = torch.zeros(1)


def drop_half(tensors: dict[str, Any]) -> None:
    del tensors[next(name for name in tensors if name.startswith("unet.") and ".lora_B" in name)]


def add_rank(tensors: dict[str, Any]) -> None:
    name = next(name for name in tensors if name.startswith("unet.") and ".lora_B" in name)
    tensors[name] = torch.zeros(len(tensors[name]), 3)


def make_whole(tensors: dict[str, Any]) -> None:
    tensors.update({name: value.to(torch.int8) for name, value in tensors.items()})


def add_other_part(tensors: dict[str, Any]) -> None:
    tensors["transformer.blocks.0.lora_A.weight"] = torch.zeros(2, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_stray, r"2 of its \d+ tensors have no place there \(unet\.down_blocks\.9"),
        (add_other_part, r"1 of its \d+ tensors have no place there \(transformer\.blocks\.0"),
        (add_dora, "DoRA"),
        (drop_half, "lacks one half of a change"),
        (add_rank, r"two halves of a change are of rank 2 and 3 \(unet\."),
        (make_whole, r"'.*' is of I8, not of floating-point numbers"),
        (lambda tensors: tensors.update(unet=torch.full((1,), torch.nan)), "does not fit"),
    ],
)
def test_a_lora_with_tensors_that_have_no_place_is_refused_by_their_names(change, message, folders, lora):
    with pytest.raises(ModelError, match=message) as caught:
        draw(folders("SD"), additions=Additions(lora=(str(edited(lora, change)),)))
    assert "\n" not in str(caught.value)


def test_a_lora_that_makes_no_numbers_is_refused(folders, lora):
    def spoil(tensors: dict[str, Any]) -> None:
        next(value for name, value in tensors.items() if ".lora_B" in name).fill_(torch.nan)

    with pytest.raises(ModelError, match=r"are no numbers.*smaller scale"):
        draw(folders("SD"), additions=Additions(lora=(str(edited(lora, spoil)),)))


def test_a_lora_of_another_family_or_size_is_one_line(folders, lora, tmp):
    wider = build_stable_diffusion(tmp / "wider", unet_channels=(16, 48))
    for folder in (folders("SDXL"), folders("SD3"), wider):
        with pytest.raises(ModelError, match=r"The LoRA '.*' does not fit '.*made for another model") as caught:
            draw(folder, additions=Additions(lora=(str(lora),)))
        assert "\n" not in str(caught.value)
    assert "in the LoRA" in str(caught.value)  # the last one says the sizes
    with pytest.raises(ModelError, match="takes no LoRA"):
        draw(folders("PixArt"), additions=Additions(lora=(str(lora),)))


# ---- textual inversion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("vectors", [1, 3])
def test_an_embedding_draws_what_diffusers_draws_with_it(vectors, folders, tmp):
    path = write_embedding(tmp / f"toy{vectors}.safetensors", 32, vectors=vectors)
    prompt = "a photo of a <toy> and a <toy>"
    ours = draw(folders("SD"), prompt, additions=Additions(embedding=(str(path),)))
    peer = draw_with_peer(folders("SD"), lambda peer: peer.load_textual_inversion(load_file(path)), prompt)
    assert difference(ours, peer) <= 1
    assert difference(ours, draw(folders("SD"), prompt)) > 20


def test_an_embedding_of_sdxl_is_read_by_both_encoders(folders, tmp):
    path, generator = tmp / "both.safetensors", torch.Generator().manual_seed(0)
    rows = {key: 10 * torch.randn(2, tiny.WIDTH, generator=generator) for key in ("clip_l", "clip_g")}
    save_file(rows, path)

    def change(peer: Any) -> None:
        for key, number in (("clip_l", ""), ("clip_g", "_2")):
            parts = {part: getattr(peer, part + number) for part in ("tokenizer", "text_encoder")}
            peer.load_textual_inversion({"<both>": rows[key]}, token="<both>", **parts)

    ours = draw(folders("SDXL"), "a <both>", additions=Additions(embedding=(f"{path}:<both>",)))
    assert difference(ours, draw_with_peer(folders("SDXL"), change, "a <both>")) <= 1
    assert difference(ours, draw(folders("SDXL"), "a <both>")) > 20


def test_a_token_is_that_of_the_option_or_of_the_file_or_the_files_name(folders, tmp):
    named = write_embedding(tmp / "named.safetensors", 32)
    bare = write_embedding(tmp / "style-of-mine.safetensors", 32, key="emb_params")

    def tokens(*embeddings: str) -> list[str]:
        generator: Any = load_generator(str(folders("SD")), **OPTIONS, additions=Additions(embedding=embeddings))
        return list(generator.text_reader.embedded.words)

    assert tokens(str(named), f"{named}:<other>", str(bare)) == ["<toy>", "<other>", "style-of-mine"]


def test_a_token_of_several_vectors_counts_as_so_many(folders, tmp):
    path = write_embedding(tmp / "many.safetensors", 32, vectors=20)
    generator: Any = load_generator(str(folders("SD")), **OPTIONS, additions=Additions(embedding=(str(path),)))
    reader = generator.text_reader
    assert reader.most_tokens == 30
    assert reader.cut(["<toy> <toy>", "<toy> 1234567890", "<toy> 12345678901"]) == ["<toy> <toy>", "<toy> 12345678901"]


@pytest.mark.parametrize(
    ("embedding", "name", "message"),
    [
        ({"<toy>": torch.zeros(48)}, "SD", "read vectors of width 32; it has <toy> of width 48"),
        ({"<toy>": torch.zeros(32)}, "SDXL", "width 32 and 32; it has <toy>"),
        ({"<toy>": torch.zeros(32)}, "Flux", "takes no embedding"),
        ({"a": torch.zeros(32), "b": torch.zeros(32)}, "SD", "Expected vectors of one token"),
        ({"<toy>": torch.full((32,), torch.nan)}, "SD", "Expected vectors of one token"),
        ({"a</w>": torch.zeros(32)}, "SD", "is a word of .* already"),
    ],
)
def test_an_embedding_that_does_not_fit_is_refused_in_one_line(embedding, name, message, folders, tmp_path):
    path = tmp_path / "some.safetensors"
    save_file(embedding, path)
    with pytest.raises(ModelError, match=message) as caught:
        draw(folders(name), additions=Additions(embedding=(str(path),)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", ["\x1b[31m", "a toy", "\u202e", "x" * 101])
def test_a_token_that_nobody_could_write_or_see_is_refused(token, folders, tmp_path):
    path = write_embedding(tmp_path / "toy.safetensors", 32, key=token)
    with pytest.raises(ModelError, match=r"Expected a token of at most 100 characters that can be seen.*toy\.safe"):
        draw(folders("SD"), additions=Additions(embedding=(str(path),)))
    with pytest.raises(UsageError, match="Expected a token of at most 100 characters that can be seen"):
        draw(folders("SD"), additions=Additions(embedding=(f"{path}:{token}",)))


def test_a_lora_is_given_once_whatever_its_file_is_called(folders, lora, tmp_path):
    other = shutil.copy(lora, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=r"each LoRA once.*which are the same"):
        draw(folders("SD"), additions=Additions(lora=(f"{lora}:0.5", f"{other}:0.25")))


def test_a_colon_with_nothing_behind_it_is_no_scale_and_no_token(folders, lora, tmp_path):
    for option, what in (("lora", "scale"), ("embedding", "token")):
        with pytest.raises(UsageError, match=f"Expected a {what} behind the colon.*variable not set"):
            draw(folders("SD"), additions=Additions(**{option: (f"{lora}:",)}))


def test_two_embeddings_of_one_token_are_refused(folders, tmp):
    paths = [str(write_embedding(tmp / f"{name}.safetensors", 32)) for name in ("one", "two")]
    with pytest.raises(ModelError, match="Two embeddings have the token '<toy>'"):
        draw(folders("SD"), additions=Additions(embedding=tuple(paths)))


# ---- the job ----------------------------------------------------------------------------------------------


def test_a_dataset_of_a_lora_is_finished_with_that_lora_alone(folders, lora, tmp, tmp_path):
    options: dict[str, Any] = {"generator": str(folders("SD")), "images_per_class": 2, "steps": STEPS, "device": "cpu"}
    additions = Additions(lora=(f"{lora}:0.5",))
    folder = tmp_path / "pets"
    result = synthset.create(["cat"], folder, **options, additions=additions)
    assert result.dataset.manifest["job"]["generation"]["lora"] == [lora.name]
    assert f"`{lora.name}` at scale 0.5" in (folder / "README.md").read_text()
    renamed = Path(shutil.copy(lora, tmp_path / "renamed.safetensors"))
    assert synthset.create(["cat"], folder, **options, additions=Additions(lora=(f"{renamed}:0.5",))).drawn == 0
    with pytest.raises(ConfigChangedError, match=r'generation\.lora: \["pytorch_lora_weights.*"\] there, null'):
        synthset.create(["cat"], folder, **options)
    with pytest.raises(ConfigChangedError, match=r"generation\.lora_scale: \[0.5\] there, \[1.0\] here"):
        synthset.create(["cat"], folder, **options, additions=Additions(lora=(str(lora),)))


def test_tokens_that_no_embedding_brought_and_that_no_prompt_has_are_told(folders, tmp, tmp_path, caplog):
    path = write_embedding(tmp / "told.safetensors", 32)
    options: dict[str, Any] = {"generator": str(folders("SD")), "images_per_class": 1, "steps": STEPS, "device": "cpu"}

    def told(phrases: dict[str, str], *embeddings: str) -> list[str]:
        caplog.clear()
        style = CreateConfig().style.__class__(phrases=phrases)
        out = tmp_path / hashlib.sha256(repr((phrases, embeddings)).encode()).hexdigest()[:8]
        with caplog.at_level(logging.WARNING, logger="synthset"):
            synthset.create(
                ["cat"], out, **options, strategies=("class_prompt",), style=style,
                additions=Additions(embedding=embeddings),
            )  # fmt: skip
        return caplog.messages

    assert told({"cat": "<toy>"}, str(path)) == []
    assert "reads <toy> letter by letter" in told({"cat": "<toy>"})[0]
    (unused,) = told({"cat": "toy"}, str(path))
    assert "No prompt has <toy>" in unused


# ---- finding them -----------------------------------------------------------------------------------------


def test_a_pickle_is_refused_and_what_to_do_is_said(folders, tmp_path):
    for option, name in (("lora", "style.pt"), ("embedding", "toy.bin")):
        torch.save({}, tmp_path / name)
        with pytest.raises(ModelError, match=r"may be pickles.*save_file") as caught:
            draw(folders("SD"), additions=Additions(**{option: (str(tmp_path / name),)}))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "given", "error", "message"),
    [
        ([], "absent.safetensors", ModelError, "there is no such file"),
        ([], "owner/name", ModelError, "hf download owner/name"),
        ([], "", UsageError, "got an empty text"),
        ([], "https://hub.example/a.safetensors", UsageError, "a file of this machine .*Fetch it before"),
        ([], "s3://bucket/a.safetensors:0.5", UsageError, "a file of this machine .*Fetch it before"),
        ([os.fsdecode(b"\xe9.safetensors")], os.fsdecode(b"\xe9.safetensors"), ModelError, "a name in UTF-8"),
        (["f/pytorch_lora_weights.bin"], "f", ModelError, "found no such file"),
        (["f/a.safetensors", "f/b.safetensors"], "f", ModelError, "found a.safetensors, b.safetensors"),
        (["a.safetensors"], "a.safetensors", ModelError, "no readable safetensors"),
        (["f/a.safetensors"], "f", ModelError, "'f/a.safetensors' is no readable safetensors"),
        (["a.safetensors"], "a.safetensors:strong", UsageError, "is no finite number"),
        (["a.safetensors"], "a.safetensors:inf", UsageError, "is no finite number"),
        (["a", "a:0.5"], "a:0.5", UsageError, "read in one way"),
    ],
)
def test_a_path_that_cannot_be_is_one_line(files, given, error, message, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in files:
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_bytes(b"nothing")
    if "no finite" in message:
        save_file({"x": torch.zeros(1)}, "a.safetensors")
    with pytest.raises(error, match=message) as caught:
        draw(folders("SD"), additions=Additions(lora=(given,)))
    assert "\n" not in str(caught.value)

"""What a generator reads of a prompt: exactly the texts whose end changes no image are cut ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines as tiny
from drawn_images import difference, make_request, pixels_of

from synthset.generators.loading import load_generator

BUILDERS = {"SDXL": tiny.build_sdxl, "SD3": tiny.build_sd3, "Flux": tiny.build_flux, "LCM": tiny.build_lcm}


@pytest.fixture(scope="module", params=["SD", *BUILDERS])
def generator(request, checkpoint, tmp_path_factory):
    name = request.param
    folder = checkpoint if name == "SD" else BUILDERS[name](tmp_path_factory.mktemp("read") / name)
    return load_generator(str(folder), num_inference_steps=2, height_px=32, width_px=32)


def reader_at(folder: Path) -> Any:
    generator: Any = load_generator(str(folder), num_inference_steps=1)
    return generator.text_reader


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_text_is_cut_where_its_end_changes_no_image(generator, is_cut):
    reader = generator.text_reader
    # a T5 has a token before the first letter
    text = "a" * (reader.most_tokens if is_cut else reader.most_tokens - 25)
    texts = [text + 24 * letter for letter in "bc"]
    assert reader.cut([texts[0], "a", texts[1]]) == (texts if is_cut else [])
    images = pixels_of(generator.generate([make_request(text, guidance_scale=7.5) for text in texts]))
    assert (difference(images[0], images[1]) == 0) is is_cut


def test_one_token_decides(checkpoint):
    reader = reader_at(checkpoint)
    assert [len(reader.cut(["a" * (reader.most_tokens + spare)])) for spare in (0, 1)] == [0, 1]


def test_a_stable_diffusion_3_reads_by_its_t5_what_its_clips_cut(tmp_path):
    reader = reader_at(tiny.build_sd3(tmp_path / "sd3"))
    assert [limit for _, limit in reader.tokenizers] == [tiny.MAX_TOKENS, tiny.MAX_TOKENS, 256]
    assert reader.cut(["a" * 2 * tiny.MAX_TOKENS]) == []
    assert len(reader.cut(["a" * 300])) == 1


def test_long_prompts_print_nothing_of_the_libraries(generator, capfd, caplog):
    generator.generate([make_request("a" * 600, guidance_scale=1.0)])
    assert capfd.readouterr().err == ""
    assert caplog.messages == []

"""Writers of sentences by name."""

import pytest

from prompts.sentences.tiny_t5 import build_t5
from synthset.core.errors import ModelError, UnknownNameError, UsageError
from synthset.prompts import sentences as package
from synthset.prompts.sentences import COMMON_GEN, default_writer, load_writer
from synthset.prompts.sentences.endpoint import EndpointWriter
from synthset.prompts.sentences.file import FileWriter


def test_a_url_is_a_server_and_a_file_is_read_unless_it_is_a_folder(tmp_path):
    writer = load_writer("HTTPS://host/v1", model="gpt", require_mention=False)
    assert writer == EndpointWriter("HTTPS://host/v1", "gpt", require_mention=False)
    (tmp_path / "a.YML").write_text("five: [a five in ink]")
    assert isinstance(load_writer(str(tmp_path / "a.YML")), FileWriter)
    (tmp_path / "b.yaml").mkdir()
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_writer(str(tmp_path / "b.yaml"), device="cpu")


def test_the_miniature_has_a_model_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(package, "MINIATURE_FOLDER", tmp_path)
    with pytest.raises(ModelError, match=r"Expected the miniature's word-to-sentence model in '.*', found none"):
        load_writer("miniature")
    build_t5(tmp_path / "sentences")
    writer = load_writer("miniature", device="cpu")
    assert writer.name == "miniature"
    assert len(writer.write("two", "", 3, seed=0)) == 3
    assert default_writer("miniature") == "miniature"
    assert default_writer("some/model") == COMMON_GEN


@pytest.mark.parametrize(
    ("name", "options", "kind", "reason"),
    [
        ("owner/no-such-model", {}, ModelError, r"hf download owner/no-such-model"),
        ("no such thing", {}, ModelError, "none of them"),
        ("nothing.yaml", {}, UsageError, "found none at 'nothing.yaml'"),
        ("miniature", {"revision": "main"}, UsageError, "revision with a hub id only"),
        ("sentences.yaml", {"revision": "main"}, UsageError, "revision with a hub id only"),
        ("http://localhost/v1", {"revision": "main", "model": "gpt"}, UsageError, "revision with a hub id only"),
        ("owner/model", {"model": "gpt"}, UsageError, "model with a URL only"),
    ],
)
def test_unknown_names_are_refused_in_one_line(name, options, kind, reason):
    with pytest.raises(kind, match=reason) as error:
        load_writer(name, **options)
    assert "\n" not in str(error.value)
    assert not isinstance(error.value, UnknownNameError)


def test_a_file_in_the_way_of_a_model_is_named_and_the_hub_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "t5.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(ModelError, match=r"got the file 'models/t5\.safetensors'"):
        load_writer("models/t5.safetensors")

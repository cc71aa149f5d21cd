"""Weights by name, and their way to the Hugging Face hub and back (no network)."""

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from huggingface_hub import ModelCard

import vasa_jax
from vasa_jax import bundle_places
from vasa_jax.errors import UserError
from vasa_jax.inference.hub import find_bundle, model_card


@pytest.fixture(scope="module")
def pipe(debug_bundle):
    return vasa_jax.Pipeline(debug_bundle._replace(trained=True))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub in a folder; `calls` lists what was asked of it."""
    calls: list = []
    root = tmp_path / "hub"

    class Api:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, repo_id, *, private, exist_ok):
            assert exist_ok
            calls.append(("create", repo_id, private))
            if "refused" in repo_id:
                raise ValueError("403: you may not write there")
            return SimpleNamespace(repo_id=repo_id if "/" in repo_id else f"me/{repo_id}")

        def create_branch(self, repo_id, *, branch, exist_ok):
            assert exist_ok
            calls.append(("branch", branch))

        def file_exists(self, repo_id, filename, *, revision):
            return (root / repo_id / filename).exists()

        def upload_folder(self, *, repo_id, repo_type, folder_path, revision, **options):
            assert repo_type == "model"
            calls.append(("upload", revision, options["commit_message"]))
            for file in Path(folder_path).iterdir():
                target = root / repo_id / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
            return f"https://hub/{repo_id}/commit/1"

    def snapshot_download(repo_id, *, revision, allow_patterns):
        calls.append(("download", repo_id, revision))
        if not (root / repo_id).is_dir():
            raise OSError("404: no such repository")
        return str(root / repo_id)

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return SimpleNamespace(calls=calls, root=root)


def test_weights_go_to_the_hub_and_come_back(pipe, hub):
    address = pipe.push_to_hub("me/talker", private=True, token="t", commit_message="first")
    assert address == "https://hub/me/talker/commit/1"
    assert hub.calls == [("token", "t"), ("create", "me/talker", True), ("upload", None, "first")]
    files = {file.name for file in (hub.root / "me/talker").iterdir()}
    assert files == {"README.md", *bundle_places.FILES}
    for name in ("me/talker", "hf://me/talker", "me/talker@v1"):
        again = find_bundle(name)
        for a, b in zip(jax.tree.leaves(pipe.params), jax.tree.leaves(again.params), strict=True):
            np.testing.assert_array_equal(a, b)
    assert hub.calls[-1] == ("download", "me/talker", "v1")


def test_a_card_that_is_there_stays(pipe, hub):
    pipe.push_to_hub("me/talker")
    card = hub.root / "me/talker" / "README.md"
    assert 'from_pretrained("me/talker")' in card.read_text()
    card.write_text("what I wrote")
    pipe.push_to_hub("me/talker", branch="next")
    assert card.read_text() == "what I wrote"
    assert ("branch", "next") in hub.calls


def test_saving_can_push_as_well(pipe, hub, tmp_path):
    assert pipe.save_pretrained(tmp_path / "plain") is None
    assert not hub.calls
    address = pipe.save_pretrained(tmp_path / "talker", dtype="bfloat16", push_to_hub=True)
    assert address == "https://hub/me/talker/commit/1"
    whole, half = (tmp_path / name / "model.safetensors" for name in ("plain", "talker"))
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    with pytest.raises(UserError, match="dtype 'int4' is not one of float32, bfloat16, int8"):
        pipe.save_pretrained(tmp_path / "other", dtype="int4")
    assert not (tmp_path / "other").exists()


def test_refusals_are_one_line(pipe, hub, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"me/refused: cannot be uploaded \(403"):
        pipe.push_to_hub("me/refused")
    with pytest.raises(UserError, match=r"^no/body: cannot be downloaded \(404"):
        find_bundle("no/body")
    with pytest.raises(UserError, match="no such checkpoint folder"):
        find_bundle(tmp_path / "nothing")
    monkeypatch.chdir(tmp_path)
    Path("some").mkdir()
    pipe.save_pretrained("some/where")  # a folder goes before a repository
    before = len(hub.calls)
    assert find_bundle("some/where").config == pipe.config
    assert len(hub.calls) == before


def test_cards_have_the_hubs_metadata(debug_bundle):
    made = ModelCard(model_card(debug_bundle)).data
    assert (made.library_name, made.pipeline_tag) == ("vasa-jax", "image-to-video")
    shipped = bundle_places.shipped_folder("demo") / "README.md"
    data = ModelCard(shipped.read_text()).data.to_dict()
    assert data["license"] == "apache-2.0"
    assert data["datasets"] == []
    assert set(made.tags) == set(data["tags"])
    assert (data["library_name"], data["pipeline_tag"]) == ("vasa-jax", "image-to-video")

"""What a folder of weights holds is known before it is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from alphallm_env.errors import ModelError
from alphallm_env.lm.checkpoints import check_config, check_weights, model_config, shapes_in
from alphallm_env.lm.shipped import TINY_POLICY

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    shutil.copytree(TINY_POLICY, made)
    return made


def rewrite(folder: Path, **tensors: torch.Tensor | None) -> None:
    found = {**load_file(folder / WEIGHTS), **tensors}
    save_file({name: tensor for name, tensor in found.items() if tensor is not None}, folder / WEIGHTS)


def test_a_copy_holds_the_same_weights(folder: Path):
    expected = shapes_in(TINY_POLICY)
    assert expected["model.embed_tokens.weight"] == (647, 192)
    check_weights(folder, expected, tied=True)
    check_config(folder, model_config(TINY_POLICY))


def test_a_tied_head_may_be_there_or_not(folder: Path):
    expected = shapes_in(folder)
    rewrite(folder, **{"lm_head.weight": torch.zeros(647, 192)})
    check_weights(folder, expected, tied=True)
    with pytest.raises(ModelError, match=r"lm_head.weight, which the model has not"):
        check_weights(folder, expected, tied=False)


def test_weights_in_several_files_are_found(folder: Path):
    expected, tensors = shapes_in(folder), load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    places = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(names)}
    for part in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == part}, folder / part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    check_weights(folder, expected, tied=False)
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(ModelError, match=f"{folder}.*part-1"):
        shapes_in(folder)


def test_other_tensors_are_named(folder: Path):
    expected = shapes_in(folder)
    rewrite(folder, **{"model.norm.weight": torch.zeros(7), "model.embed_tokens.weight": None})
    with pytest.raises(ModelError, match=rf"{folder}.*model.norm.weight of shape \(7,\) instead of \(192,\)"):
        check_weights(folder, expected, tied=True)
    with pytest.raises(ModelError, match=r"no model.embed_tokens.weight"):
        check_weights(folder, expected, tied=True)


def test_what_is_no_checkpoint_is_named(folder: Path):
    with pytest.raises(ModelError, match=f"{folder}/missing.*which is none"):
        shapes_in(folder / "missing")
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=f"{folder}.*{WEIGHTS}"):
        shapes_in(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=f"{folder}.*got none"):
        shapes_in(folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ModelError, match=f"{folder}.*weight_map"):
        shapes_in(folder)


def test_another_network_of_the_same_shapes_is_refused(folder: Path):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "transformers_version": "5.19.0", "dtype": "float32"}))
    check_config(folder, model_config(TINY_POLICY))
    path.write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    with pytest.raises(ModelError, match=f"{folder}.*rms_norm_eps 0.1 instead of 1e-06"):
        check_config(folder, model_config(TINY_POLICY))
    path.unlink()
    check_config(folder, model_config(TINY_POLICY))
    path.write_text("[")
    with pytest.raises(ModelError, match="a model's configuration"):
        check_config(folder, model_config(TINY_POLICY))

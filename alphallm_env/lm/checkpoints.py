"""What a folder of weights holds, read from the headers of its files: before an engine loads it, not while it does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

from alphallm_env.errors import ModelError

Shapes = dict[str, tuple[int, ...]]  # of tensors, by name

_INDEX = "model.safetensors.index.json"
_SHOWN = 3  # tensors in an error
_NOT_OF_THE_NETWORK = (
    "_name_or_path",
    "architectures",
    "dtype",
    "initializer_range",
    "transformers_version",
    "use_cache",
)


def shapes_in(folder: str | Path) -> Shapes:
    """Returns the tensors in a folder's safetensors. Raises ModelError, which names the folder, where one is missing.

    A file that is cut short is found out too; its tensors are not read.
    """
    shapes: Shapes = {}
    for path in _files(Path(folder)):
        try:
            with safe_open(path, framework="pt") as file:  # type: ignore[no-untyped-call]
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ModelError(f"expected the weights of a model in {str(folder)!r}, got {path.name}: {error}") from error
    return shapes


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ModelError(f"expected a folder of weights, got {str(folder)!r}, which is none")
    index = folder / _INDEX
    if not index.is_file():
        found = sorted(folder.glob("*.safetensors"))
        if not found:
            raise ModelError(f"expected weights as .safetensors in {str(folder)!r}, got none")
        return found
    try:
        places = cast("dict[str, str]", json.loads(index.read_text())["weight_map"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"expected a list of weights in {str(index)!r}: {error!r}") from error
    return [folder / name for name in sorted(set(places.values()))]


def check_weights(folder: str | Path, expected: Mapping[str, tuple[int, ...]], tied: bool) -> None:
    """Raises ModelError, which names the folder, unless its tensors are the `expected` ones by name and shape.

    Where the head is `tied` to the embedding, it may be among them or not.
    """
    found = shapes_in(folder)
    wanted = dict(expected)
    if tied:
        found.pop("lm_head.weight", None)
        wanted.pop("lm_head.weight", None)
    faults = [f"{name} of shape {found[name]} instead of {wanted[name]}" for name in wanted.keys() & found.keys()
              if found[name] != wanted[name]]  # fmt: skip
    faults += [f"no {name}" for name in wanted.keys() - found.keys()]
    faults += [f"{name}, which the model has not" for name in found.keys() - wanted.keys()]
    if faults:
        shown = "; ".join(sorted(faults)[:_SHOWN]) + (f"; {len(faults)} such in all" if len(faults) > _SHOWN else "")
        raise ModelError(f"expected weights of the same model in {str(folder)!r}, got {shown}")


def model_config(source: str | Path) -> dict[str, object]:
    """Returns what the configuration in a folder, or of a hub name, says of the network.

    Raises ModelError where there is none, or it is damaged.
    """
    try:
        config = AutoConfig.from_pretrained(source).to_dict()
    except (OSError, ValueError) as error:
        raise ModelError(f"expected a model's configuration at {str(source)!r}: {error}") from error
    return {name: value for name, value in config.items() if name not in _NOT_OF_THE_NETWORK and "token_id" not in name}


def check_config(folder: str | Path, expected: Mapping[str, object]) -> None:
    """Raises ModelError, which names the folder, if its config.json is that of another model. It may have none."""
    if not Path(folder, "config.json").is_file():
        return
    found = model_config(folder)
    differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if differing:
        shown = ", ".join(
            f"{name} {found.get(name)!r} instead of {expected.get(name)!r}" for name in differing[:_SHOWN]
        )
        raise ModelError(f"expected weights of the same model in {str(folder)!r}, got {shown}")

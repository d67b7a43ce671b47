"""The revision of a model's weights: the hub's commit, or a digest of a folder's files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def source_revision(source: str, model: PreTrainedModel) -> str | None:
    """Returns the revision of a model loaded from a folder or by its hub name, None where it is neither."""
    folder = Path(source)
    if folder.is_dir():
        return weights_digest(folder)
    return getattr(model.config, "_commit_hash", None)


def weights_digest(folder: Path) -> str | None:
    """Returns a sha256 over all safetensors in a folder, None where there are none. Reads every file.

    The same as, in the folder,
    `find . -name '*.safetensors' -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum`.
    """
    files = sorted((p.relative_to(folder).as_posix(), p) for p in folder.rglob("*.safetensors"))
    if not files:
        return None
    listing = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as file:
            listing.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n".encode())
    return f"sha256:{listing.hexdigest()}"

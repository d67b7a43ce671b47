"""A key-value cache that grows in blocks, so that decoding copies no history token by token."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

_BLOCK = 64  # positions added at a time


class BlockLayer(DynamicLayer):
    """Keys and values of one layer, [rows, heads, positions, head size], with room to write in place."""

    _key_room: torch.Tensor | None = None
    _value_room: torch.Tensor | None = None

    # The base class leaves the extra arguments untyped.
    def update(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes the new positions behind the old ones and returns views of all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old = self.get_seq_length()
        new = old + key_states.shape[-2]
        if self._key_room is None or self._value_room is None or new > self._key_room.shape[-2]:
            self._key_room = self._enlarged(key_states, self.keys, old, new)
            self._value_room = self._enlarged(value_states, self.values, old, new)
        self._key_room[:, :, old:new] = key_states
        self._value_room[:, :, old:new] = value_states
        self.keys, self.values = self._key_room[:, :, :new], self._value_room[:, :, :new]
        return self.keys, self.values

    @staticmethod
    def _enlarged(states: torch.Tensor, past: torch.Tensor | None, old: int, new: int) -> torch.Tensor:
        rows, heads, _, size = states.shape
        room = states.new_empty(rows, heads, new + _BLOCK, size)
        if old and past is not None:
            room[:, :, :old] = past
        return room

    def select(self, rows: torch.Tensor) -> None:
        """Keeps, or repeats, the given rows of the batch."""
        if self.keys is None or self.values is None:
            raise RuntimeError("expected a cache that was written to, got an empty one")
        self.keys, self.values = self.keys[rows], self.values[rows]
        self._key_room = self._value_room = None


class BlockCache(Cache):
    """The cache of all layers of one batch."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=BlockLayer)

    def select(self, rows: torch.Tensor) -> None:
        """Keeps, or repeats, the given rows of the batch in every layer."""
        for layer in self.layers:
            if not isinstance(layer, BlockLayer):
                raise TypeError(f"expected BlockLayer, got {type(layer).__name__}")
            layer.select(rows)

"""The cache of keys and values of the texts being decoded."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from transformers.cache_utils import Cache, DynamicLayer

_BLOCK = 64  # positions, or rows, added at a time


class RowLayer(DynamicLayer):
    """One layer of a `RowCache`: buffers [rows, heads, positions, head size], larger than the part in use."""

    def __init__(self, owner: RowCache) -> None:
        super().__init__()
        self._owner = owner

    # The base class leaves the extra arguments untyped.
    def update(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        key_states: torch.Tensor,  # [rows, heads, 1, head size]
        value_states: torch.Tensor,
        *args: Any,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes keys and values of each row's next token. Returns views of the positions in use, this one included."""
        owner = self._owner
        self.reserve(key_states, len(owner), owner.width + 1)
        keys, values = self.rooms
        rows, places = owner.next_places
        keys[rows, :, places] = key_states[:, :, 0]
        values[rows, :, places] = value_states[:, :, 0]
        num, width = len(owner), owner.width + 1
        return keys[:num, :, :width], values[:num, :, :width]

    @property
    def rooms(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The tensors that hold keys and values."""
        if self.keys is None or self.values is None:
            raise RuntimeError("expected a cache that was written to, got an empty one")
        return self.keys, self.values

    def reserve(self, like: torch.Tensor, num_rows: int, num_positions: int) -> None:
        """Enlarges the buffers to these numbers; `like` [rows, heads, positions, head size] has the other sizes."""
        if not self.is_initialized:
            self.lazy_initialization(like, like)
            self.keys = self.values = like.new_empty(0, like.shape[1], 0, like.shape[3])
        old_rows, _, old_positions, _ = self.rooms[0].shape
        if num_rows > old_rows or num_positions > old_positions:
            size = (max(old_rows, _rounded(num_rows)), max(old_positions, _rounded(num_positions)))
            self.keys, self.values = (_enlarged(room, *size) for room in self.rooms)

    def get_seq_length(self) -> int:
        """Returns the number of tokens of the longest row."""
        return self._owner.width


def _rounded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _enlarged(room: torch.Tensor, num_rows: int, num_positions: int) -> torch.Tensor:
    # Zeros: masked values are multiplied by 0, and 0 · NaN is not 0.
    larger = room.new_zeros(num_rows, room.shape[1], num_positions, room.shape[3])
    larger[: room.shape[0], :, : room.shape[2]] = room
    return larger


class RowCache(Cache):
    """A cache whose texts join and leave: one row each, with its tokens from position 0 on, and no gaps between rows.

    `transformers` may write to it one token per row at a time.
    """

    def __init__(self) -> None:
        # A proxy, so that the tensors are freed with the cache: a cycle would keep them until garbage is collected.
        self._new_layer = partial(RowLayer, weakref.proxy(self))
        super().__init__(layer_class_to_replicate=cast("type[RowLayer]", self._new_layer))
        self.width = 0  # tokens of the longest row
        self._lengths: list[int] = []
        self._places: torch.Tensor | None = None
        self._rows: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def next_places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows [rows] and the position of each one's next token [rows]."""
        if self._rows is None or self._places is None:
            raise RuntimeError("expected `begin_step` before a token is written")
        return self._rows, self._places

    def begin_step(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the positions [rows] of the tokens to be written, and their attention mask [rows, positions]."""
        if self._places is None:
            self._rows = torch.arange(len(self), device=device)
            self._places = torch.tensor(self._lengths, device=device)
        else:
            self._places = self._places + 1
        return self._places, torch.arange(self.width + 1, device=device) <= self._places[:, None]

    def end_step(self) -> None:
        """Counts the tokens that the step has written."""
        self._lengths = [length + 1 for length in self._lengths]
        self.width += 1

    def add(self, layers: Sequence[tuple[torch.Tensor, torch.Tensor]], lengths: Sequence[int]) -> None:
        """Adds rows. `layers` holds keys and values, [rows, heads, positions, head size], valid up to `lengths`."""
        first, width = len(self), max(lengths)
        self._lengths += lengths
        self._changed()
        while len(self.layers) < len(layers):
            self.layers.append(self._new_layer())
        for layer, states in zip(self.layers, layers, strict=False):  # `layers` is empty where no row has a token yet
            row_layer = cast(RowLayer, layer)
            row_layer.reserve(states[0], len(self), self.width + 1)
            for room, state in zip(row_layer.rooms, states, strict=True):
                room[first : len(self), :, :width] = state[:, :, :width]

    def copy(self, rows: Sequence[int]) -> None:
        """Appends a copy of each of the rows."""
        first = len(self)
        self._lengths += [self._lengths[row] for row in rows]
        self._changed()
        for layer in self.layers:
            row_layer = cast(RowLayer, layer)
            row_layer.reserve(row_layer.rooms[0], len(self), self.width + 1)
            for room in row_layer.rooms:
                room[first : len(self), :, : self.width] = room[list(rows), :, : self.width]

    def remove(self, rows: Sequence[int]) -> list[int]:
        """Removes rows, moving the last ones into the gaps. Returns the former index of each remaining row."""
        gone = set(rows)
        order = list(range(len(self)))
        num_left = len(order) - len(gone)
        moved = [row for row in order[num_left:] if row not in gone]
        gaps = [row for row in sorted(gone) if row < num_left]
        for gap, row in zip(gaps, moved, strict=True):
            order[gap] = row
        del order[num_left:]
        if gaps:
            for layer in self.layers:
                for room in cast(RowLayer, layer).rooms:
                    room[gaps, :, : self.width] = room[moved, :, : self.width]
        self._lengths = [self._lengths[row] for row in order]
        self._changed()
        return order

    def _changed(self) -> None:
        self.width = max(self._lengths, default=0)
        self._places = self._rows = None


def layers_of(cache: Cache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Returns keys and values of all layers, each [rows, heads, positions, head size]."""
    return [(cast(torch.Tensor, layer.keys), cast(torch.Tensor, layer.values)) for layer in cache.layers]  # type: ignore[attr-defined]

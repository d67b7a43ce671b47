"""Cache of model results, so that repeated queries are bit-identical."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from alphallm_env.runtime.metering import Meter, active_meter

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

DEFAULT_SIZE = 20_000  # entries


class ResultCache(Generic[Key, Value]):
    """Results by query; beyond `max_size` the oldest are evicted.

    The last bits of a model's numbers depend on what is computed in the same batch, so a query is answered by its
    first result. Every meter pays once for each: where the current one has not paid, the models compute the result
    again, and the first one is returned.
    """

    def __init__(self, max_size: int = DEFAULT_SIZE) -> None:
        if max_size < 1:
            raise ValueError(f"max_size must be >= 1, got {max_size}")
        self._max_size = max_size
        self._values: dict[Key, Value] = {}
        self._paid: WeakKeyDictionary[Meter, dict[Key, None]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[ResultCache[Key, Value]], tuple[int]]:
        return type(self), (self._max_size,)  # pickled and copied without its entries

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Returns the cached result, None where there is none."""
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> Value:
        """Caches a result that no meter pays for, unless there is one. Returns the cached one."""
        value = self._values.setdefault(key, value)
        _evict_oldest(self._values, self._max_size)
        return value

    async def get_or_compute(
        self, keys: Sequence[Key], compute: Callable[[list[Key]], Awaitable[Sequence[Value]]]
    ) -> list[Value]:
        """Returns a result for each key. One call computes all that are not cached or that the meter has not paid."""
        meter = active_meter()
        paid = None if meter is None else self._paid.setdefault(meter, {})
        due = [key for key in dict.fromkeys(keys) if key not in self._values or (paid is not None and key not in paid)]
        found = {key: self._values[key] for key in keys if key in self._values}
        for key, value in zip(due, await compute(due) if due else (), strict=True):
            found[key] = self.put(key, value)
            if paid is not None:
                paid[key] = None
                _evict_oldest(paid, self._max_size)
        return [found[key] for key in keys]

    def clear(self) -> None:
        """Drops all results, and what meters have paid."""
        self._values.clear()
        self._paid.clear()


def _evict_oldest(kept: dict[Key, Value] | dict[Key, None], max_size: int) -> None:
    while len(kept) > max_size:
        kept.pop(next(iter(kept)), None)

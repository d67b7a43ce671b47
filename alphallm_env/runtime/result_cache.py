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

    The last bits of a model's numbers depend on what is computed in the same batch, so a repeated query returns its
    first result. Every meter pays once for each query, so that the cost of a search does not depend on others: where
    the current meter has not paid, the models compute the result again, and the first one is returned.
    """

    def __init__(self, max_size: int = DEFAULT_SIZE) -> None:
        if max_size < 1:
            raise ValueError(f"max_size must be >= 1, got {max_size}")
        self._max_size = max_size
        self._values: dict[Key, Value] = {}
        self._paid: WeakKeyDictionary[Meter, dict[Key, None]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[ResultCache[Key, Value]], tuple[int]]:
        return type(self), (self._max_size,)  # pickled and copied without entries

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Returns the cached result, None where there is none."""
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> Value:
        """Caches a result unless the key has one, and returns the cached one. No meter pays."""
        value = self._values.setdefault(key, value)
        evict_oldest(self._values, self._max_size)
        return value

    async def get_or_compute(
        self, keys: Sequence[Key], compute: Callable[[list[Key]], Awaitable[Sequence[Value]]]
    ) -> list[Value]:
        """Returns a result per key, in order. One call computes those not cached or not yet paid by the meter."""
        meter = active_meter()
        paid = None if meter is None else self._paid.setdefault(meter, {})
        due = [key for key in dict.fromkeys(keys) if key not in self._values or (paid is not None and key not in paid)]
        found = {key: self._values[key] for key in keys if key in self._values}
        for key, value in zip(due, await compute(due) if due else (), strict=True):
            found[key] = self.put(key, value)
            if paid is not None:
                paid[key] = None
                evict_oldest(paid, self._max_size)
        return [found[key] for key in keys]

    def clear(self) -> None:
        """Drops all results, and what meters have paid."""
        self._values.clear()
        self._paid.clear()


def evict_oldest(entries: dict[Key, Value], max_size: int) -> None:
    """Removes the entries that were added first, down to `max_size` of them."""
    while len(entries) > max_size:
        entries.pop(next(iter(entries)), None)

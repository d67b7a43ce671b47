"""What models told before, so that the same question has the same answer to the last bit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from alphallm_env.runtime.metering import Meter, active_meter

Key = TypeVar("Key", bound=Hashable)
Fact = TypeVar("Fact")

MOST_KEPT = 20_000  # facts; the oldest are dropped


class Memo(Generic[Key, Fact]):
    """Facts by what was asked. The last bits of a model's numbers depend on what is computed beside them.

    Every meter pays once for each fact: where one has not paid yet the models are asked again, and the answer
    is still the first one.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        if most < 1:
            raise ValueError(f"most must be >= 1, got {most}")
        self._most = most
        self._facts: dict[Key, Fact] = {}
        self._paid: WeakKeyDictionary[Meter, dict[Key, None]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[Memo[Key, Fact]], tuple[int]]:
        return type(self), (self._most,)  # a pickled memo is empty: it is nothing but a memory

    def __len__(self) -> int:
        return len(self._facts)

    def known(self, key: Key) -> Fact | None:
        """Returns the fact, None where it was not asked for or has been dropped."""
        return self._facts.get(key)

    def tell(self, key: Key, fact: Fact) -> Fact:
        """Keeps a fact that nobody has to pay for. Returns it, or the one that was there."""
        fact = self._facts.setdefault(key, fact)
        _drop_oldest(self._facts, self._most)
        return fact

    async def find(self, keys: Sequence[Key], ask: Callable[[list[Key]], Awaitable[Sequence[Fact]]]) -> list[Fact]:
        """Returns a fact for each key. Asks at once for all that are not known or not paid for by the current meter."""
        meter = active_meter()
        paid = None if meter is None else self._paid.setdefault(meter, {})
        due = [key for key in dict.fromkeys(keys) if key not in self._facts or (paid is not None and key not in paid)]
        found = {key: self._facts[key] for key in keys if key in self._facts}
        for key, fact in zip(due, await ask(due) if due else (), strict=True):
            found[key] = self.tell(key, fact)
            if paid is not None:
                paid[key] = None
                _drop_oldest(paid, self._most)
        return [found[key] for key in keys]

    def forget(self) -> None:
        """Drops everything."""
        self._facts.clear()
        self._paid.clear()


def _drop_oldest(kept: dict[Key, Fact] | dict[Key, None], most: int) -> None:
    while len(kept) > most:
        kept.pop(next(iter(kept)), None)

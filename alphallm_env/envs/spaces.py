"""Text spaces that hold any Unicode text. Gymnasium's own allows letters and digits only."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import NoReturn, overload

import numpy as np
from gymnasium import spaces
from gymnasium.error import CustomSpaceError
from gymnasium.vector.utils import create_empty_array, create_shared_memory
from numpy.typing import NDArray

from alphallm_env.types import Option

_SURROGATES = range(0xD800, 0xE000)
_SAMPLED = string.ascii_letters + string.digits + string.punctuation + " \n"
_SAMPLE_LENGTH = 64

TextMask = tuple[int | None, NDArray[np.int8] | NDArray[np.float64] | None]


class _EveryCharacter(Sequence[str]):
    """All 1,112,064 Unicode characters in order, none of them stored."""

    def __len__(self) -> int:
        return 0x110000 - len(_SURROGATES)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        return chr(position if position < _SURROGATES.start else position + len(_SURROGATES))

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1 and ord(character) not in _SURROGATES

    def __iter__(self) -> Iterator[str]:
        return (self[position] for position in range(len(self)))


_EVERY_CHARACTER = _EveryCharacter()


class UnicodeText(spaces.Text):
    """Any text that UTF-8 can encode, of `min_length` to `max_length` characters.

    `sample` writes at most 64 characters of printable ASCII, spaces and newlines. Flattening gives each
    character its index among all Unicode characters.

    >>> "3 × 4 ≤ π²\\n" in UnicodeText(20)
    True
    """

    def __init__(self, max_length: int, *, min_length: int = 0, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=min_length, charset=_SAMPLED, seed=seed)

    def contains(self, x: object) -> bool:
        """Returns whether `x` is text of an allowed length without surrogates."""
        if not isinstance(x, str) or not self.min_length <= len(x) <= self.max_length:
            return False
        try:
            x.encode()
        except UnicodeEncodeError:
            return False
        return True

    def sample(self, mask: TextMask | None = None, probability: TextMask | None = None) -> str:
        """Returns a short random text. A mask may fix its length, never its characters."""
        length, characters = mask or probability or (None, None)
        if characters is not None:
            raise ValueError("a mask over all Unicode characters is not supported: mask the length only")
        if length is None:
            longest = max(self.min_length, min(self.max_length, _SAMPLE_LENGTH))
            length = int(self.np_random.integers(self.min_length, longest + 1))
        return "".join(self.np_random.choice(list(_SAMPLED), size=length))

    @property
    def character_set(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Every Unicode character."""
        return _EVERY_CHARACTER

    @property
    def character_list(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Every Unicode character, in order."""
        return _EVERY_CHARACTER

    def character_index(self, char: str) -> np.int32:
        """Returns the index of a character among all of them."""
        code = ord(char)
        return np.int32(code if code < _SURROGATES.start else code - len(_SURROGATES))

    @property
    def characters(self) -> str:
        """Every Unicode character, as one text of 1,112,064."""
        return "".join(_EVERY_CHARACTER)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_length}, min_length={self.min_length})"


@create_shared_memory.register(UnicodeText)
def _no_shared_memory(space: UnicodeText, n: int = 1, ctx: object = None) -> NoReturn:  # noqa: ARG001
    """Raises CustomSpaceError: from shared memory, Gymnasium would return the same empty text at every step."""
    raise CustomSpaceError("text cannot be shared: pass vector_kwargs=dict(shared_memory=False)")


@create_empty_array.register(UnicodeText)
def _shortest_texts(space: UnicodeText, n: int = 1, fn: object = None) -> tuple[str, ...]:  # noqa: ARG001
    """Returns `n` texts of the least length. Gymnasium's own would write out all characters for each of them."""
    return (" " * space.min_length,) * n


class OptionText(UnicodeText):
    """The text of one option. A realised `Option` is a member too, by its text."""

    def contains(self, x: object) -> bool:
        """Returns whether `x` is text, or an option with text, of an allowed length."""
        return super().contains(x.text if isinstance(x, Option) else x)

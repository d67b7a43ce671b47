"""Problem sets by name: one function for every source of problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache, partial
from random import Random
from typing import Protocol, cast

from alphallm_env.errors import ProblemError
from alphallm_env.problems import countdown, gsm_symbolic, hub
from alphallm_env.problems.jsonl import read_jsonl
from alphallm_env.problems.rows import checked
from alphallm_env.registry import Registry
from alphallm_env.types import Problem

DEFAULT_NUM_GENERATED = 500  # how many problems a generator yields without a limit


class ProblemSet(Protocol):
    """Problems by split. A user's own is a function of a module, named `module:attribute`."""

    def __call__(self, split: str, limit: int | None, seed: int, /) -> Sequence[Problem]:
        """Returns at most `limit` problems of a split with different ids, the same for the same arguments."""
        ...


def load_problems(source: str, split: str = "test", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """Returns the problems of a source, at most `limit` of them, the same for the same arguments.

    `source` is one of

    - `gsm_symbolic` or `gsm_symbolic:full`: generated with `seed`, 500 without a limit;
    - `countdown` or `countdown:LEVEL` (2 … 7 numbers, `3w` … `7w` with wide ones, or
      several as in `countdown:3,4,5`): likewise, judged by replaying;
    - the path of a `.jsonl` file, which is one split whatever `split` says;
    - `gsm8k`, `math` or another `owner/name` of the hub, which downloads;
    - `module:attribute`: a function `(split, limit, seed)` of your own that returns problems;
    - a name that was added by `PROBLEM_SETS.register`.

    A limit below the size of a file or hub data set draws a sample with `seed`, in the source's order.
    Raises ProblemError, which lists the names, for an unknown source, and for one that is not usable.
    """
    if limit is not None and limit < 1:
        raise ProblemError(f"limit must be >= 1 or None, got {limit}")
    if source.endswith(".jsonl"):
        return _sample(read_jsonl(source), limit, seed)
    if _is_hub_name(source):
        return _from_hub(source, split, limit, seed)
    try:
        load = PROBLEM_SETS.resolve(source)
    except ProblemError:
        raise
    except ValueError as error:
        raise ProblemError(f"{error}; a .jsonl file or an owner/name of the hub will do too") from error
    return _checked(load(split, limit, seed), source, limit)


def _checked(problems: Sequence[Problem], source: str, limit: int | None) -> list[Problem]:
    """Returns the problems as a list. Raises ProblemError where a problem set breaks its contract."""
    listed = list(cast("Sequence[object]", problems))
    wrong = next((item for item in listed if not isinstance(item, Problem)), None)
    if wrong is not None:
        raise ProblemError(f"{source}: expected problems, got {wrong!r}")
    if limit is not None and len(listed) > limit:
        raise ProblemError(f"{source}: expected at most {limit} problems, got {len(listed)}")
    found = cast("list[Problem]", listed)
    for number, problem in enumerate(found):
        try:
            checked(problem)
        except ProblemError as error:
            raise ProblemError(f"{source}, problem {number}: {error}") from error
    ids = Counter(problem.id for problem in found)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise ProblemError(f"{source}: expected problems with different ids, got {twice[0]!r} {ids[twice[0]]} times")
    return found


def _gsm_symbolic(level: str) -> ProblemSet:
    return lambda split, limit, seed: list(_generated(split, limit or DEFAULT_NUM_GENERATED, seed, level))


@lru_cache(maxsize=16)
def _generated(split: str, limit: int, seed: int, level: str) -> tuple[Problem, ...]:
    return tuple(gsm_symbolic.problems(split, limit, seed, level))


def _countdown(levels: str) -> ProblemSet:
    """Returns the set of one level, or of several in equal shares, named as in `3,4,5`."""
    return lambda split, limit, seed: countdown.mixed(split, limit or DEFAULT_NUM_GENERATED, seed, levels.split(","))


def _from_hub(name: str, split: str, limit: int | None, seed: int) -> list[Problem]:
    return _sample(hub.load_from_hub(name, split), limit, seed)


def _is_hub_name(source: str) -> bool:
    owner, slash, name = source.partition("/")
    return bool(owner and slash and name) and not {"/", ":"} & {*name, *owner} and not source.startswith((".", "~"))


def _sample(problems: list[Problem], limit: int | None, seed: int) -> list[Problem]:
    if limit is None or limit >= len(problems):
        return problems
    return [problems[index] for index in sorted(Random(seed).sample(range(len(problems)), limit))]


def _as_problem_set(found: object) -> ProblemSet:
    if not callable(found):
        raise TypeError(f"expected a function (split, limit, seed) that returns problems, got {found!r}")
    return cast(ProblemSet, found)


PROBLEM_SETS: Registry[ProblemSet] = Registry(
    "problem set",
    {
        "gsm_symbolic": _gsm_symbolic("easy"),
        "countdown": _countdown("4"),
        **{name: partial(_from_hub, name) for name in hub.SHORT_NAMES},
    },
    _as_problem_set,
    families={"gsm_symbolic": _gsm_symbolic, "countdown": _countdown},
)

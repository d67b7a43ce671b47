"""One function for every source of problems, selected by a string that fits a command line."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from alphallm_env.errors import ProblemError
from alphallm_env.problems import gsm_symbolic, hub
from alphallm_env.problems.jsonl import read_jsonl
from alphallm_env.types import Problem

DEFAULT_NUM_GENERATED = 500  # how many problems an endless source gives where no limit is set


def load_problems(source: str, split: str = "test", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """Returns the problems of a source, at most `limit` of them, the same for the same arguments.

    `source` is one of

    - `gsm_symbolic` or `gsm_symbolic:full`: generated with `seed`, 500 where there is no limit;
    - the path of a `.jsonl` file, which is one split whatever `split` says;
    - `gsm8k`, `math` or another `owner/name` of the hub, which downloads.

    A limit below the size of a file or data set keeps a sample drawn with `seed`, in the source's order.
    Raises ProblemError for an unknown source or one that is not usable.
    """
    if limit is not None and limit < 1:
        raise ProblemError(f"limit must be >= 1 or None, got {limit}")
    name, _, level = source.partition(":")
    if name == "gsm_symbolic":
        return list(_generated(split, limit or DEFAULT_NUM_GENERATED, seed, level or "easy"))
    if source.endswith(".jsonl"):
        return _sample(read_jsonl(source), limit, seed)
    if source in hub.SHORT_NAMES or _is_hub_name(source):
        return _sample(hub.load_from_hub(source, split), limit, seed)
    raise ProblemError(
        "problems must be gsm_symbolic, gsm_symbolic:full, the path of a .jsonl file, "
        f"{', '.join(hub.SHORT_NAMES)} or owner/name of the hub, got {source!r}"
    )


@lru_cache(maxsize=16)
def _generated(split: str, limit: int, seed: int, level: str) -> tuple[Problem, ...]:
    return tuple(gsm_symbolic.problems(split, limit, seed, level))


def _is_hub_name(source: str) -> bool:
    owner, slash, name = source.partition("/")
    return bool(owner and slash and name) and "/" not in name and not source.startswith((".", "~"))


def _sample(problems: list[Problem], limit: int | None, seed: int) -> list[Problem]:
    if limit is None or limit >= len(problems):
        return problems
    return [problems[index] for index in sorted(Random(seed).sample(range(len(problems)), limit))]

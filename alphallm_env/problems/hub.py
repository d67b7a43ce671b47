"""Problems from the Hugging Face hub, through `datasets`. Downloads, and only what the user named."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from alphallm_env.errors import ProblemError
from alphallm_env.problems.rows import problem_from_row
from alphallm_env.types import Problem


@dataclass(frozen=True)
class HubDataset:
    """A data set of the hub and those of its configurations that make up the whole."""

    path: str
    configurations: tuple[str | None, ...] = (None,)


_MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
SHORT_NAMES = {
    "gsm8k": HubDataset("openai/gsm8k", ("main",)),
    "math": HubDataset("EleutherAI/hendrycks_math", _MATH_SUBJECTS),
}


def load_from_hub(name: str, split: str) -> list[Problem]:
    """Returns the problems of one split of `gsm8k`, `math` or any `owner/name`, in the hub's order.

    Rows that are no problem (no answer in them, text that is none, an id that another row has) are left out; the log
    says how many, and names the first. Raises ProblemError where the data set cannot be loaded or all rows are so.
    """
    dataset = SHORT_NAMES.get(name) or HubDataset(name)
    problems: dict[str, Problem] = {}
    left_out: list[str] = []
    for configuration in dataset.configurations:
        prefix = "/".join(filter(None, [name, configuration, split]))
        for number, row in enumerate(_rows(dataset.path, configuration, split)):
            try:
                problem = problem_from_row(row, default_id=f"{prefix}/{number}", source=dataset.path)
                if problem.id in problems:
                    raise ProblemError(f"expected a new id, got {problem.id!r} again")
            except ProblemError as error:
                left_out.append(f"{prefix}, row {number}: {error}")
            else:
                problems[problem.id] = problem
    if left_out:
        said = (
            f"{dataset.path}: {len(left_out)} of {len(problems) + len(left_out)} rows left out, the first {left_out[0]}"
        )
        if not problems:
            raise ProblemError(said)
        logging.getLogger(__name__).warning("%s", said)
    if not problems:
        raise ProblemError(f"{dataset.path}: expected problems in split {split!r}, got none")
    return list(problems.values())


def _rows(path: str, configuration: str | None, split: str) -> list[Mapping[str, object]]:
    from datasets import Dataset, load_dataset

    try:
        rows = load_dataset(path, configuration, split=split)
    except Exception as error:  # network, hub and reader raise exceptions of any kind: the cause is kept
        raise ProblemError(
            f"{path}: could not load split {split!r} from the hub ({type(error).__name__}: {error}); "
            "without a network, pass the path of a .jsonl file instead"
        ) from error
    assert isinstance(rows, Dataset)
    return [dict(row) for row in rows]

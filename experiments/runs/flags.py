"""Flags that several programs share: names of parts, with help that lists what is registered."""

from __future__ import annotations

from typing import Annotated

import tyro

from agents.tree.merging import MERGE_RULES
from agents.tree.selection import SELECTION_RULES
from alphallm_env.mdp.options import TERMINATION_RULES
from alphallm_env.problems import PROBLEM_SETS

ProblemSetName = Annotated[
    str, tyro.conf.arg(help=f"{PROBLEM_SETS.choices}, FILE.jsonl or OWNER/NAME of the hub; … is a level, as full")
]
TerminationRuleName = Annotated[
    str, tyro.conf.arg(help=f"where an option ends: {TERMINATION_RULES.choices}; option is the paper's for MATH")
]
SelectionName = Annotated[
    str, tyro.conf.arg(help=f"of every tree search: {SELECTION_RULES.choices}; its preset's own where empty")
]
MergeRuleName = Annotated[
    str, tyro.conf.arg(help=f"of every tree search: {MERGE_RULES.choices}; its preset's own where empty")
]

"""Presets of ηMCTS: AlphaLLM's settings for GSM8K and MATH, ours for the tiny policy, and which problems use which."""

from __future__ import annotations

from pathlib import PurePath

from agents.config import MCTSConfig
from agents.tree.merging import EditDistance, MergeMode, SameMathematics

# AlphaLLM's table of hyper-parameters. Differs: alpha is in units of c_max (see `allowed_children`); the paper
# leaves the temperature open, and the answer rule.
_PAPER = MCTSConfig().with_settings(
    alpha=1.0,
    c_max_root=60,
    c_max=10,
    depth_limit=10,
    temperature=0.8,
    num_rollouts=4,
    merge_rule=EditDistance(50),
    merge_mode=MergeMode.REJECT,
    merge_tries=5,
    expansion_batch=10,
)
# For the tiny policy on problems of three or four options of some twenty tokens, at a few thousand tokens.
_TINY = MCTSConfig().with_settings(
    num_rollouts=2,
    merge_rule=SameMathematics(),
    merge_tries=3,
    known_mass=0.98,
    expansion_batch=4,
    widens=True,
)

# For Countdown at a few hundred tokens: lines of a dozen tokens, a verifier as the ORM, one rollout a leaf.
_COUNTDOWN = _TINY.with_settings(
    beta_value=0.0, beta_prm=0.0, num_rollouts=1, alpha=0.0, depth_limit=8, c=0.3, c_min_root=8, c_max_root=32,
    c_min=2, c_max=8,
)  # fmt: skip

PRESETS: dict[str, MCTSConfig] = {
    "gsm8k_small": _PAPER.with_settings(c=1.0, c_min_root=10, c_min=2),
    "gsm8k_large": _PAPER.with_settings(c=1.5, c_min_root=40, c_min=2),
    "math_small": _PAPER.with_settings(c=1.0, c_min_root=10, c_min=3),
    "math_large": _PAPER.with_settings(c=1.0, c_min_root=20, c_min=3),
    "tiny_small": _TINY.with_settings(c=1.0, c_min_root=4, c_min=2, c_max_root=16, c_max=4),
    "tiny_large": _TINY.with_settings(c=1.0, c_min_root=16, c_min=3, c_max_root=32, c_max=6),
    "countdown_small": _COUNTDOWN,
    "countdown_large": _COUNTDOWN.with_settings(c_min_root=16),
}


def preset_family(problems: str) -> str:
    """Returns whose presets suit a problem set: gsm8k, math, countdown or tiny.

    `gsm8k`, `math` and `countdown` have their own, as has a file or data set with one of these words in its name (not
    in that of its folder). All others are planned with the tiny ones: gsm_symbolic, for which these are tuned, and
    unknown sets, as the tiny presets spend the least.

    >>> [preset_family(problems) for problems in ("gsm_symbolic", "data/gsm8k_hard.jsonl", "math", "mine.jsonl")]
    ['tiny', 'gsm8k', 'math', 'tiny']
    """
    name = PurePath(problems).name.lower()
    return next((family for family in ("gsm8k", "math", "countdown") if family in name), "tiny")

"""The ledger as a picture: which model computed how many tokens, for what, in which stage."""

from __future__ import annotations

from collections.abc import Mapping

from alphallm_env.runtime.metering import Usage, Work
from experiments.report.document import escaped, table
from experiments.runs.ledger import LedgerKey

_MOST_BARS = 36
_ROLES = {"policy": "policy", "rollout": "rollouts", "critic": "critics"}  # with their names on the page
_LEFT, _WIDTH, _HEIGHT = 262, 560, 22


def spending(ledger: Mapping[LedgerKey, Usage], imagination: Mapping[str, int]) -> str:
    """Returns a bar of computed tokens for each stage and purpose, stacked by role, and the sums of each role.

    `imagination` has the tokens that the questions of each stage took. Where there are many rounds, their bars are
    added up.
    """
    bars = bars_of(ledger, imagination)
    if len(bars) > _MOST_BARS:
        bars = _without_rounds(bars)
    if not any(any(bar.values()) for bar in bars.values()):
        return ""
    return (
        f"<figure>{_picture(bars)}<figcaption>Tokens that the models computed: generated, and read where they were not "
        "cached. Fine-tuning is not counted here.</figcaption></figure>" + _sums(ledger)
    )


def bars_of(ledger: Mapping[LedgerKey, Usage], imagination: Mapping[str, int]) -> dict[tuple[str, str], dict[str, int]]:
    """Returns the tokens computed by role, for each stage and purpose."""
    bars: dict[tuple[str, str], dict[str, int]] = {}
    for (stage, split, _), usage in ledger.items():
        purpose = "search of questions" if split == "imagined" else "evaluation"
        if split == "imagined" and stage in imagination:
            bars[stage, "imagination"] = dict.fromkeys(_ROLES, 0) | {"policy": imagination[stage]}
        bar = bars.setdefault((stage, purpose), dict.fromkeys(_ROLES, 0))
        for role in _ROLES:
            work: Work = getattr(usage, role)
            bar[role] += work.generated + work.prefilled
    return bars


def _without_rounds(bars: Mapping[tuple[str, str], Mapping[str, int]]) -> dict[tuple[str, str], dict[str, int]]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    for (stage, purpose), bar in bars.items():
        arm, is_round, _ = stage.rpartition("round")
        name = (arm.rstrip("-") or "all rounds") if is_round else stage
        into = found.setdefault((name, purpose), dict.fromkeys(_ROLES, 0))
        for role, tokens in bar.items():
            into[role] += tokens
    return found


def _picture(bars: Mapping[tuple[str, str], Mapping[str, int]]) -> str:
    longest = max(sum(bar.values()) for bar in bars.values())
    drawn = "".join(_bar(place, name, bar, longest) for place, (name, bar) in enumerate(bars.items()))
    keys = "".join(
        f'<rect class="{role}" x="{_LEFT + 110 * place}" y="4" width="12" height="12"/>'
        f'<text x="{_LEFT + 110 * place + 18}" y="15">{name}</text>'
        for place, (role, name) in enumerate(_ROLES.items())
    )
    height = 30 + _HEIGHT * len(bars)
    return (
        f'<div class="scroll"><svg class="wide" viewBox="0 0 {_LEFT + _WIDTH + 90} {height}" role="img" '
        f'aria-label="Tokens computed, by stage and role">{keys}{drawn}</svg></div>'
    )


def _bar(place: int, name: tuple[str, str], bar: Mapping[str, int], longest: int) -> str:
    top, left, parts = 28 + _HEIGHT * place, float(_LEFT), list[str]()
    label = escaped(f"{name[0].replace('_', ' ').replace('-round', ', round')}: {name[1]}")
    for role, tokens in bar.items():
        width = _WIDTH * tokens / longest
        parts.append(
            f'<rect class="{role}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_HEIGHT - 6}">'
            f"<title>{label}, {_ROLES[role]}: {tokens:,} tokens</title></rect>"
        )
        left += width
    return (
        f'<text x="{_LEFT - 8}" y="{top + 12}" text-anchor="end">{label}</text>{"".join(parts)}'
        f'<text class="faint" x="{left + 6:.1f}" y="{top + 12}">{_short(sum(bar.values()))}</text>'
    )


def _short(tokens: int) -> str:
    return f"{tokens / 1e6:,.2f} M" if tokens >= 1e5 else f"{tokens:,}"


def _sums(ledger: Mapping[LedgerKey, Usage]) -> str:
    total = sum(ledger.values(), Usage())
    works: dict[str, Work] = {name: getattr(total, role) for role, name in _ROLES.items()}
    rows = [
        [
            name, f"{work.generated:,}", f"{work.prefilled:,}", f"{work.saved:,}", f"{work.model_seconds:,.0f}",
            f"{work.waiting_seconds:,.0f}",
        ]
        for name, work in works.items()
    ]  # fmt: skip
    columns = ("searches, by role", "generated", "prefilled", "cached", "model seconds", "waiting seconds")
    return table(columns, rows)

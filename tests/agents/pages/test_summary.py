"""A plan and an environment in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser

from hostile_texts import HOSTILE_TEXTS
from scripted_page import hostile_plan, small_plan
from scripted_world import PROBLEM, make_simulator

from alphallm_env import MathReasoningEnv


def tags_of(page: str) -> set[str]:
    found: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add(tag)

    Tags().feed(page)
    return found


def test_a_plan_says_its_answer_score_steps_and_cost():
    plan = small_plan()
    shown = plan._repr_html_()
    assert "answer <b>7</b>, score 0.90 (orm)" in shown
    assert shown.count("<li") == len(plan.options)
    assert f"{plan.usage.tokens:,} tokens" in shown
    assert "a tree of" in shown


def test_hostile_texts_are_escaped():
    plan, _ = hostile_plan()
    assert tags_of(plan._repr_html_()) <= {"div", "p", "b", "ol", "li", "code"}


def test_an_environment_shows_its_episode():
    env = MathReasoningEnv.from_parts(make_simulator(), [PROBLEM])
    assert env._repr_html_().startswith("<pre>&lt;")
    env.reset(seed=0)
    for text in HOSTILE_TEXTS[:3]:
        env.step(text)
    shown = env._repr_html_()
    assert PROBLEM.question in shown
    assert tags_of(shown) == {"pre"}
    env.close()

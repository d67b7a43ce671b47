"""The page of a tree in a real browser: what a reader does there, and what a hostile text does not.

Skipped without Chromium and chromedriver.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_texts import HOSTILE_TEXTS
from scripted_page import gold, hand_made_plan, hostile_plan, small_plan
from scripted_world import START, make_simulator

from agents import Budget, PlanResult, eta_mcts, show_tree
from agents.tree.node import Node, num_nodes, walk
from experiments.bench.browser.driver import Browser, browser_missing
from experiments.bench.browser.tree_page import TreePageConfig, large_plan, main, measure

pytestmark = pytest.mark.skipif(bool(browser_missing()), reason=f"needs a browser: {browser_missing()}")
# A lone surrogate cannot be sent as text.
_CODE_UNITS = """
const text = document.querySelector("#panel blockquote").textContent;
return Array.from({length: text.length}, (_, place) => text.charCodeAt(place));
"""
DOWN, LEFT, RIGHT = "\ue015", "\ue012", "\ue014"  # WebDriver's keys


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def plan() -> PlanResult:
    return small_plan()


@pytest.fixture
def page(plan: PlanResult, tmp_path: Path, browser: Browser) -> Path:
    path = show_tree(plan, tmp_path / "tree.html", gold(), title="mine")
    browser.open(path.as_uri())
    browser.messages(), browser.requests()  # those of the test before
    return path


def shown(browser: Browser) -> list[str]:
    return browser.run("return [...document.querySelectorAll('.node .option')].map((e) => e.textContent)")


def scrub(browser: Browser, simulation: int) -> None:
    browser.run(
        "const slider = document.getElementById('simulation'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input'));",
        simulation,
    )


def option_text(node: Node) -> str:
    return "the question" if node.state.option is None or node.parent is None else node.state.option.text.strip()


def focused(browser: Browser) -> str:
    return browser.run("return document.querySelector('.node.focus .option').textContent.replaceAll('\\n', ' ')")


def test_the_page_shows_question_answer_and_every_option_whole(browser: Browser, page: Path, plan: PlanResult):
    assert plan.root is not None
    assert browser.text("#question") == plan.root.state.question
    assert f"answer {plan.answer}" in browser.text("#summary")
    assert browser.run("return document.title") == f"mine: {plan.root.state.question}"
    browser.run(  # so that all is in view
        "const scroller = document.getElementById('scroller'); scroller.style.height = '9000px';"
        "scroller.dispatchEvent(new Event('scroll'))"
    )
    browser.run_async("requestAnimationFrame(() => setTimeout(arguments[0], 100))")
    texts = sorted(text.replace("\n", " ") for text in shown(browser))
    expected = sorted(option_text(node) for node in walk(plan.root) if node.depth <= 3)
    assert [text for text in texts if text in expected] == expected


def test_the_scrubber_shows_the_tree_after_five_simulations(browser: Browser, page: Path, plan: PlanResult):
    assert plan.trace is not None
    births = plan.trace.births()
    scrub(browser, 5)
    there = [option_text(node) for node, born in births.items() if born <= 5]
    assert sorted(shown(browser)) == sorted(["the question", *there])
    panel = browser.text("#panel")
    assert "Simulation 5 of" in panel
    assert "It added" in panel
    assert browser.run("return document.querySelector('.node.new .option').textContent") == next(
        option_text(node) for node, born in births.items() if born == 5
    )


def test_each_choice_shows_the_terms_of_the_rule(browser: Browser, page: Path, plan: PlanResult):
    assert plan.trace is not None
    wave = next(wave for wave in plan.trace.waves if wave.descents[0].choices)
    choice = wave.descents[0].choices[0]
    assert choice.scores is not None
    scrub(browser, wave.first)
    rows = browser.run(
        "return [...document.querySelectorAll('#panel table')[0].rows].map((r) => r.innerText.split('\\t'))"
    )
    assert [cell.strip() for cell in rows[0]] == ["option", "score", "= q", "+ expl.", "visits", "prior"]
    for row, node, score, q, visits in zip(rows[1:], choice.nodes, choice.scores, choice.q, choice.visits, strict=True):
        assert option_text(node) in row[0]
        assert [row[1], row[2], row[4]] == [f"{score:.2f}", f"{q:.2f}", str(visits)]
        assert float(row[3]) == pytest.approx(score - q, abs=0.006)
    assert f"{choice.width} children allowed, {choice.num_children} there; uct chose" in browser.text("#panel")
    taken = browser.run("return document.querySelector('#panel tr.taken').innerText")
    assert option_text(choice.nodes[choice.chosen]) in taken


def test_playing_moves_on_by_itself_and_pauses(browser: Browser, page: Path):
    scrub(browser, 1)
    browser.click("#play")
    assert browser.text("#play") == "pause"
    browser.run_async("setTimeout(arguments[0], 900)")
    browser.click("#play")
    assert int(browser.run("return document.getElementById('simulation').value")) > 1


def test_a_link_opens_its_node_and_simulation(browser: Browser, page: Path, plan: PlanResult):
    assert plan.root is not None
    node = plan.root.children[1].children[0]
    browser.open("about:blank")
    browser.open(page.as_uri() + "#n/1.0")
    assert focused(browser) == option_text(node)
    assert "Node #n/1.0" in browser.text("#panel")
    browser.open("about:blank")
    browser.open(page.as_uri() + "#n/1@9")
    assert "Simulation 9 of" in browser.text("#panel")
    for wrong in ("#n/99.99", "#n/__proto__", "#<script>", "#n/-1", "#n/0@99999"):
        browser.open("about:blank")
        browser.open(page.as_uri() + wrong)
        assert focused(browser)
    assert not [m for m in browser.messages() if "favicon" not in m]


def test_text_is_found(browser: Browser, page: Path, plan: PlanResult):
    assert plan.root is not None
    matching = [node for node in walk(plan.root) if "#### 7" in option_text(node)]
    browser.type("#search", "#### 7")
    assert browser.text("#found") == f"{len(matching)} found"
    browser.type("#search", "\ue007")  # Enter
    assert browser.text("#found") == f"1 of {len(matching)}"
    assert focused(browser) == "#### 7"


def test_the_gold_answer_is_hidden_until_it_is_asked_for(browser: Browser, page: Path):
    assert browser.text("#gold") == ""
    browser.click("#gold-button")
    assert browser.text("#gold") == "7 (the answer given is correct)\n2 * 3 = 6 and 6 + 1 = 7"
    browser.click("#gold-button")
    assert browser.text("#gold") == ""


def test_keys_walk_the_tree(browser: Browser, page: Path, plan: PlanResult):
    root = plan.root
    assert root is not None
    most = max(root.children, key=lambda child: child.visit_count)
    browser.click("#scroller")
    browser.type("body", RIGHT)
    assert focused(browser) == option_text(most)
    browser.type("body", LEFT)
    assert focused(browser) == "the question"
    browser.type("body", RIGHT + DOWN)
    assert focused(browser) == option_text(root.children[min(most.index + 1, len(root.children) - 1)])
    browser.type("body", "c")
    browser.type("body", "[")
    assert f"simulation {root.visit_count - 1} of" in browser.text("#simulation-number")


def test_the_next_disagreement_is_one(browser: Browser, page: Path, plan: PlanResult):
    assert plan.root is not None

    def disagrees(node: Node) -> bool:
        visited = [child for child in node.children if child.visit_count]
        most = max((child.visit_count, child.q) for child in visited)[1] if visited else 0.0
        return any(child.q > most + 1e-3 for child in visited)

    expected = [node for node in walk(plan.root) if disagrees(node)]
    browser.run("document.getElementById('next-disagreement').click()")
    marked = browser.run("return document.querySelector('.node.focus .head').textContent")
    assert ("≠" in marked) == bool(expected)


def test_nodes_below_a_visit_count_are_folded_into_a_count(browser: Browser, page: Path, plan: PlanResult):
    assert plan.root is not None
    browser.run("const e = document.getElementById('least'); e.value = 1000; e.dispatchEvent(new Event('input'))")
    folded = browser.run(
        "return [...document.querySelectorAll('.fold')].map((e) => e.textContent).filter((t) => t[0] === '+')"
    )
    left = len(shown(browser))
    assert left < num_nodes(plan.root)
    assert sum(map(int, folded)) == num_nodes(plan.root) - left


def test_redrawn_pruned_and_merged_options_are_counted(browser: Browser, tmp_path: Path):
    browser.open(show_tree(hand_made_plan(), tmp_path / "tree.html").as_uri())
    feet = browser.run("return [...document.querySelectorAll('.node .foot')].map((e) => e.textContent)")
    assert sorted(feet) == sorted(["+1 redrawn · +2 pruned", "1 tok · 2 variants · drawn 2×", "1 tok", "1 tok"])
    assert "5: 2 kept, 1 redrawn, 2 pruned" in browser.text("#panel")
    browser.run("document.querySelector('.node[data-node=\"1\"]').click()")
    browser.click("#panel details summary")
    assert "3 * 2 = 6" in browser.text("#panel details")


def test_without_a_trace_there_is_no_scrubber_and_the_page_says_why(browser: Browser, tmp_path: Path):
    browser.open(show_tree(hand_made_plan(), tmp_path / "tree.html").as_uri())
    assert browser.run("return document.getElementById('scrubber').hidden")
    assert browser.run("return document.getElementById('gold-button').hidden")
    assert "the setting trace=true records them" in browser.text("#panel")
    assert len(shown(browser)) == 4


def test_a_resumed_search_says_what_was_not_recorded(browser: Browser, tmp_path: Path):
    planner, simulator = eta_mcts(trace=True, merge_rule="none", known_mass=None), make_simulator()
    with simulator.engine:
        first = planner.begin(simulator, START, budget=Budget(simulations=20), seed=1)
        first.simulate(9)
        plan = planner.load(first.to_bytes(), simulator).run()
    assert plan.trace is not None
    assert plan.root is not None
    browser.open(show_tree(plan, tmp_path / "tree.html").as_uri())
    assert f"The first {plan.trace.start} simulations were not recorded" in browser.text("#panel")
    scrub(browser, 0)  # the slider begins where the recording does
    assert f"simulation {plan.trace.start} of" in browser.text("#simulation-number")
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    born = len(plan.trace.births())
    assert browser.run("return document.querySelectorAll('#outline li').length") == num_nodes(plan.root) - born


def test_the_printed_page_has_every_node(browser: Browser, page: Path, plan: PlanResult):
    assert plan.root is not None
    assert browser.print_page().startswith(b"%PDF")
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    printed = browser.run("return document.querySelectorAll('#outline li').length")
    assert printed == num_nodes(plan.root)


def test_nothing_is_requested_and_the_console_stays_silent(browser: Browser, page: Path):
    browser.open(page.as_uri())
    scrub(browser, 4)
    browser.click("#gold-button")
    assert [url for url in browser.requests() if not url.startswith("file:")] == []
    assert browser.messages() == []


def test_no_hostile_text_runs_or_requests_anything(browser: Browser, tmp_path: Path):
    plan, problem = hostile_plan()
    page = show_tree(plan, tmp_path / "hostile.html", problem, title=problem.question)
    browser.messages(), browser.requests()
    browser.open(page.as_uri())
    browser.run("document.getElementById('gold-button').click()")
    num_elements = browser.run("return document.querySelectorAll('*').length")
    assert num_elements < 2_000
    for number, text in enumerate(HOSTILE_TEXTS, 1):  # each is added, clicked, and shown whole in the panel
        scrub(browser, number)
        browser.run("document.querySelector('.node.new').click()")
        browser.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert browser.run(_CODE_UNITS) == list(memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"))
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert "owned" not in browser.run("return document.title").replace("document.title='owned'", "")
    assert browser.run("return document.querySelectorAll('script').length") == 2
    assert (
        browser.run("return document.querySelectorAll('img, iframe, svg, object, embed, form, video, base').length")
        == 0
    )
    assert [url for url in browser.requests() if not url.startswith("file:")] == []
    assert browser.messages() == []  # not even a violation of the policy


def test_of_ten_thousand_nodes_only_those_in_view_are_drawn(browser: Browser, tmp_path: Path):
    page = show_tree(large_plan(10_000), tmp_path / "large.html")
    for show_all in (False, True):
        assert measure(page, browser, show_all=show_all).num_bytes <= 10_000_000
        assert browser.run("return document.querySelectorAll('.node').length") < 200  # only what is in view


def test_the_benchmark_prints_a_line_for_each_way(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    main(TreePageConfig(nodes=50, screenshots=tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["51 nodes, folded", "51 nodes, all"]
    assert {path.name for path in tmp_path.iterdir()} == {"tree-folded.png", "tree-all.png"}

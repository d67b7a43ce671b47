"""The wording of prompts in plain language, for instruction-tuned and base models, and their worked examples."""

from __future__ import annotations

from alphallm_env.lm.prompts.base import plain
from alphallm_env.lm.prompts.tools import CHECK

SOLVE = (
    "Solve the problem step by step, one short step per line. "
    "End with the final answer within \\boxed{{}}.\n\nProblem: {question}"
)
JUDGE_STEP = (
    "Problem: {question}\n\nSolution so far:\n{before}\n\nNext step:\n{step}\n\n"
    "{notes}Is this step correct, and does it help to solve the problem? Answer with one word, True or False."
)
JUDGE_OUTCOME = (
    "Problem: {question}\n\nProposed solution:\n{solution}\n\n"
    "{notes}Is the method right, is each calculation right, are all given facts used, and is the final answer right? "
    "Answer with one word, True if the final answer is right, False if it is not."
)
NOTES = "Notes on it:\n{notes}\n\n"
IMAGINE = (
    "Write one new mathematics word problem in the style of these, with other numbers and another story. "
    "Write only the problem.\n\n{examples}"
)


# Written for this project: a problem, the lines of its solution, its answer.
WORKED_EXAMPLES = (
    ("A box holds 6 rows of 4 pencils. 5 pencils are broken. How many pencils are whole?",
     "There are 6 * 4 = 24 pencils in the box.\nOf these, 24 - 5 = 19 are whole.\n", "19"),
    ("Ana reads 12 pages on Monday and twice as many on Tuesday. How many pages does she read in all?",
     "On Tuesday she reads 12 * 2 = 24 pages.\nIn all she reads 12 + 24 = 36 pages.\n", "36"),
    ("Tickets cost $8. A group pays $72 for tickets and $18 for drinks. How many tickets did it buy, and how "
     "much did it spend per ticket, drinks included?",
     "The group bought 72 / 8 = 9 tickets.\nIt spent 72 + 18 = 90 dollars.\nThat is 90 / 9 = 10 dollars per "
     "ticket.\n", "10"),
)  # fmt: skip


def step_question(question: str, before: str, step: str, notes: str) -> str:
    """Returns the question whether `step`, taken after `before`, is correct."""
    before = plain(before).strip() or "(nothing yet)"
    return JUDGE_STEP.format(question=plain(question), notes=noted(notes), before=before, step=plain(step).strip())


def outcome_question(question: str, solution: str, notes: str) -> str:
    """Returns the question whether the whole `solution` is correct."""
    return JUDGE_OUTCOME.format(question=plain(question), notes=noted(notes), solution=plain(solution).strip())


def check_question(question: str, solution: str) -> str:
    """Returns the request to check the whole `solution`, with a program where that helps."""
    return CHECK.format(question=plain(question), solution=plain(solution).strip())


def noted(notes: str) -> str:
    """Returns the paragraph of a critic's notes, empty where there are none."""
    return NOTES.format(notes=plain(notes).strip()) if notes else ""

"""The prompt of a critic that may write Python, and the format of programs and their outputs in its text."""

from __future__ import annotations

import re

CHECK = (
    "Problem: {question}\n\nProposed solution:\n{solution}\n\n"
    "Check the solution before it is judged. Where a calculation decides, write one short Python program in a "
    "```python block that works out the answer for itself and prints it; sympy and the standard library are there, "
    "and you will see what it prints. Where none is needed, write none. End with one sentence on what you found."
)

# Written for this project: a problem, a proposed solution, a check of it.
SHOTS = (
    ("Ana reads 12 pages on Monday and twice as many on Tuesday. How many pages does she read in all?",
     "On Tuesday she reads 12 * 2 = 24 pages.\nIn all she reads 12 + 24 = 38 pages.\n#### 38",
     "```python\nmonday = 12\ntuesday = 2 * monday\nprint(monday + tuesday)\n```\n```output\n36\n```\n"
     "The program gives 36 and the solution says 38: it is wrong."),
    ("What is the sum of the squares of the roots of x^2 - 5x + 3?",
     "The sum of the roots is 5 and their product is 3.\nSo the sum of squares is 25 - 6 = 19.\n#### 19",
     "```python\nfrom sympy import symbols, solve, simplify\nx = symbols('x')\n"
     "print(simplify(sum(r**2 for r in solve(x**2 - 5*x + 3, x))))\n```\n```output\n19\n```\n"
     "The program gives 19, as the solution says: it is right."),
    ("Tom has 3 apples and buys 2 more. How many has he now?",
     "He has 3 + 2 = 5 apples.\n#### 5",
     "3 + 2 is 5, as the solution says: it is right."),
)  # fmt: skip

_PROGRAM = re.compile(r"```(?:python|py)[ \t]*\n(?P<code>.*?)(?:```\s*|\Z)", re.DOTALL | re.IGNORECASE)


def program_in(text: str) -> tuple[str, str] | None:
    r"""Returns the text before the first ```python block and the block's code; None where there is no block.

    A block that is not closed ends with the text.

    >>> program_in("Let us see.\n```python\nprint(6 * 7)\n```")
    ('Let us see.\n', 'print(6 * 7)\n')
    """
    found = _PROGRAM.search(text)
    return None if found is None else (text[: found.start()], found["code"].rstrip() + "\n")


def program_with_output(code: str, output: str) -> str:
    """Returns the blocks of a program and its output. Backticks in the output are replaced, so that none closes it."""
    shown = output.rstrip("\n").replace("```", "'''")
    return f"```python\n{code}```\n```output\n{shown}\n```\n"

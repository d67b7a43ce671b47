"""Comparison: two trees, part by part, in three values: equal, not equal, and undecided (None).

An oracle compares two leaves. In a first pass it may return None where only algebra can decide; in a second pass it
has the results. Undecided parts leave the whole undecided only where they matter.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from alphallm_env.grading.notation import comparison_key
from alphallm_env.grading.structure import (
    Cases,
    Equation,
    Inequality,
    Leaf,
    Listing,
    Matrix,
    Node,
    Ordered,
    Union,
    parse,
)

Oracle = Callable[[str, str], bool | None]
"""Returns whether a leaf of the answer (second) equals one of the gold answer (first)."""

MAX_ELEMENTS = 40


def compare(gold: Node, answer: Node, oracle: Oracle) -> bool | None:
    """Returns whether an answer's tree equals the gold answer's."""
    excluded = _excluded_points(gold), _excluded_points(answer)
    if excluded[0] and excluded[1]:
        return in_any_order(excluded[0], excluded[1], oracle)
    if isinstance(gold, Equation) or isinstance(answer, Equation):
        return _compare_equations(gold, answer, oracle)
    if isinstance(gold, Inequality) or isinstance(answer, Inequality):
        return _compare_inequalities(gold, answer, oracle)
    match gold, answer:
        case Leaf(one), Leaf(other):
            return oracle(one, other)
        case Ordered(), Ordered():
            same_brackets = (gold.opening, gold.closing) == (answer.opening, answer.closing)
            return same_brackets and _in_order(gold.parts, answer.parts, oracle)
        case Matrix(), Matrix():
            widths = [len(row) for row in gold.rows], [len(row) for row in answer.rows]
            return widths[0] == widths[1] and every(
                _in_order(one, other, oracle) for one, other in zip(gold.rows, answer.rows, strict=True)
            )
        case (Matrix(), Ordered()) | (Ordered(), Matrix()):
            one, other = _as_matrix(gold), _as_matrix(answer)
            return isinstance(one, Matrix) and isinstance(other, Matrix) and compare(one, other, oracle)
        case Cases(), Cases():
            return _same_branches(gold, answer, oracle)
        case (Listing(parts=(Leaf(text),)), _) | (_, Listing(parts=(Leaf(text),))) if "emptyset" in text:
            return gold == answer  # the set that holds the empty set is not empty
        case (Listing(parts=(only,)), _) if not isinstance(answer, Listing):
            return compare(only, answer, oracle)  # the braces of a set may be left out
        case (_, Listing(parts=(only,))) if not isinstance(gold, Listing):
            return compare(gold, only, oracle)
        case (Listing(), Ordered()) | (Ordered(), Listing()):
            one, other = _as_tuple(gold), _as_tuple(answer)
            return isinstance(one, Ordered) and isinstance(other, Ordered) and compare(one, other, oracle)
        case Listing(), Listing():
            return _listings(gold.parts, answer.parts, oracle)
        case Union(), Union():
            return in_any_order(gold.parts, answer.parts, oracle)
        case (Union(), Listing()) | (Listing(), Union()):
            return False if len(gold.parts) != len(answer.parts) else _halves(gold, answer, oracle)
        case (Matrix(), Leaf(text)) | (Leaf(text), Matrix()):
            return oracle(as_text(gold), as_text(answer)) if r"\begin" in text else False
        case _:
            return False


def _as_matrix(node: Node) -> Node:
    """Returns [[1, 2], [3, 4]] as a matrix; any other node as it is."""
    if not isinstance(node, Ordered) or (node.opening, node.closing) != ("[", "]"):
        return node
    rows = [row.parts for row in node.parts if isinstance(row, Ordered) and row.opening == "["]
    return Matrix(tuple(rows)) if len(rows) == len(node.parts) and len(set(map(len, rows))) == 1 else node


def _as_tuple(node: Node) -> Node:
    """Returns p = 5, q = 2, each name once, as the tuple (5, 2); any other node as it is."""
    if not isinstance(node, Listing):
        return node
    names = [part.name for part in node.parts if isinstance(part, Equation) and part.name]
    if len(set(names)) != len(node.parts) or names != sorted(names):
        return node
    return Ordered("(", ")", tuple(part.sides[-1] for part in node.parts if isinstance(part, Equation)))


def _same_branches(gold: Cases, answer: Cases, oracle: Oracle) -> bool | None:
    """Returns whether two piecewise values have equal branches, in any order. One condition may be "otherwise"."""
    if len(gold.branches) != len(answer.branches):
        return False
    free, found = list(answer.branches), list[bool | None]()
    for value, condition in gold.branches:
        fits = [branch for branch in free if _same_condition(condition, branch[1], oracle)]
        if not fits:
            return False
        free.remove(fits[0])
        found.append(compare(value, fits[0][0], oracle))
    return every(found)


def _same_condition(gold: str, answer: str, oracle: Oracle) -> bool:
    """Returns whether two conditions are the same relation; relations that only algebra could compare are not."""
    if comparison_key(gold) == comparison_key(answer):
        return True
    if not gold or not answer:
        return False
    one, other = (_as_set(parse(text)) for text in (gold, answer))
    return not isinstance(one, Leaf) and compare(one, other, oracle) is True


_ALL_BUT = re.compile(r"(?:\\mathbb\{R\}|\(-\\infty\s*,\s*\+?\\infty\s*\))\s*(?:\\setminus|-)\s*\\\{(?P<points>.+)\\\}")


def _excluded_points(node: Node) -> tuple[Node, ...] | None:
    r"""Returns the points that a set of all other real numbers leaves out; None for another node.

    They are written x \neq 1, \mathbb{R} \setminus \{1\}, or (-\infty, 1) \cup (1, \infty).
    """
    match node:
        case Inequality(sides=(variable, point), signs=(r"\neq",)) if _VARIABLE.fullmatch(variable):
            return (parse(point),)
        case Listing(parts) if parts and all(isinstance(part, Inequality) and _excluded_points(part) for part in parts):
            return tuple(point for part in parts for point in _excluded_points(part) or ())
        case Leaf(text) if found := _ALL_BUT.fullmatch(text.strip()):
            points = parse(found["points"])
            return points.parts if isinstance(points, Listing) else (points,)
        case Union(parts):
            return _gaps(parts)
        case _:
            return None


def _gaps(parts: Sequence[Node]) -> tuple[Node, ...] | None:
    """Returns the points between open intervals that cover everything else, None for another union."""
    ends = [part.parts for part in parts if isinstance(part, Ordered) and (part.opening, part.closing) == ("(", ")")]
    if len(ends) != len(parts) or any(len(end) != 2 for end in ends):
        return None
    lows, highs = ([comparison_key(as_text(end[place])).replace("+", "") for end in ends] for place in (0, 1))
    if lows[0] != r"-\infty" or highs[-1] != r"\infty" or lows[1:] != highs[:-1]:
        return None
    return tuple(end[1] for end in ends[:-1])


def as_text(node: Node) -> str:
    """Returns a leaf or a matrix of leaves as LaTeX."""
    if isinstance(node, Matrix):
        rows = r" \\ ".join(" & ".join(as_text(cell) for cell in row) for row in node.rows)
        return rf"\begin{{pmatrix}}{rows}\end{{pmatrix}}"
    return node.text if isinstance(node, Leaf | Equation | Inequality) else ""


def every(values: Iterable[bool | None]) -> bool | None:
    """Returns False if any is False, else None if any is None, else True."""
    found = list(values)
    return False if False in found else None if None in found else True


def some(values: Iterable[bool | None]) -> bool | None:
    """Returns True if any is True, else None if any is None, else False."""
    found = list(values)
    return True if True in found else None if None in found else False


def _in_order(golds: Sequence[Node], answers: Sequence[Node], oracle: Oracle) -> bool | None:
    """Returns whether two sequences are equal element by element."""
    if len(golds) != len(answers):
        return False
    return every(compare(gold, answer, oracle) for gold, answer in zip(golds, answers, strict=True))


def in_any_order(golds: Sequence[Node], answers: Sequence[Node], oracle: Oracle) -> bool | None:
    """Returns whether two collections pair off one to one. Raises ValueError above `MAX_ELEMENTS` elements."""
    if len(golds) != len(answers):
        return False
    if len(golds) > MAX_ELEMENTS:
        raise ValueError(f"expected at most {MAX_ELEMENTS} elements, got {len(golds)}")
    free, open_golds = list(answers), list[Node]()
    for gold in golds:  # identical ones first: fewer are left to compare
        if gold in free:
            free.remove(gold)
        else:
            open_golds.append(gold)
    doubtful = list[Node]()  # each may be the partner of a gold element
    for gold in open_golds:
        for answer in (*free, *doubtful):
            is_equal = compare(gold, answer, oracle)
            if is_equal is not False:
                break
        else:
            return False
        if answer in free:
            free.remove(answer)
            if is_equal is None:
                doubtful.append(answer)
    return None if doubtful else True


def _listings(golds: Sequence[Node], answers: Sequence[Node], oracle: Oracle) -> bool | None:
    """Returns whether two lists are equal: in any order, unless names that only the gold answer gives order them."""
    if len(golds) != len(answers):
        return False
    gold_names = [part.name for part in golds if isinstance(part, Equation) and part.name]
    answer_has_names = any(isinstance(part, Equation) and part.name for part in answers)
    if len(gold_names) == len(golds) and not answer_has_names and len(set(map(_base, gold_names))) == len(golds):
        return _in_order(golds, answers, oracle)
    return in_any_order(golds, answers, oracle)


def _base(name: str) -> str:
    """Returns a name without its subscript: x_1 and x_2 are two values of x."""
    return re.sub(r"_(?:\{[^{}]*\}|\w)$", "", comparison_key(name))


def _names_agree(one: str, other: str) -> bool:
    """Returns whether two names may be the same: equal, or one lacks the other's subscript."""
    one, other = comparison_key(one), comparison_key(other)
    return one == other or (_base(one) == _base(other) and (one == _base(one) or other == _base(other)))


def _compare_equations(gold: Node, answer: Node, oracle: Oracle) -> bool | None:
    """Returns whether two are equal of which at least one is an equation."""
    if isinstance(gold, Equation) and isinstance(answer, Equation):
        if gold.name and answer.name and _names_agree(gold.name, answer.name):
            same_value = every(compare(gold.sides[-1], side, oracle) for side in answer.sides)
            if same_value is not False or (not _is_implicit(gold) and not _is_implicit(answer)):
                return same_value
        elif (
            gold.name and answer.name and not re.search("[A-Za-z]", as_text(gold.sides[-1]) + as_text(answer.sides[-1]))
        ):
            return False
        return oracle(gold.text, answer.text)
    if isinstance(gold, Equation):
        tuple_of_names = _as_named(gold)
        if tuple_of_names is not None and isinstance(answer, Listing):
            return in_any_order(tuple_of_names, answer.parts, oracle)
        return compare(gold.sides[-1], answer, oracle) if gold.name else False
    assert isinstance(answer, Equation)
    named = _as_named(answer)
    if named is not None and isinstance(gold, Listing) and all(isinstance(part, Equation) for part in gold.parts):
        return in_any_order(gold.parts, named, oracle)
    return every(compare(gold, side, oracle) for side in answer.sides)


def _is_implicit(equation: Equation) -> bool:
    """Returns whether an equation's name is also in its value, as in y = 2x - y."""
    value = equation.text.split("=", 1)[1]
    return comparison_key(equation.name) in comparison_key(value)


def _as_named(equation: Equation) -> tuple[Node, ...] | None:
    """Returns (p, q) = (3, 2) as p = 3, q = 2; None for another equation."""
    names = re.findall(r"[A-Za-z](?:_\w)?", equation.name)
    value = equation.sides[-1]
    if equation.name[:1] != "(" or not isinstance(value, Ordered) or len(names) != len(value.parts):
        return None
    pairs = zip(names, value.parts, strict=True)
    return tuple(Equation(name, (part,), f"{name} = {as_text(part)}") for name, part in pairs)


def _compare_inequalities(gold: Node, answer: Node, oracle: Oracle) -> bool | None:
    """Returns whether two are equal of which at least one is an inequality: as relations, or as sets of numbers."""
    if isinstance(gold, Inequality) and isinstance(answer, Inequality):
        return len(gold.signs) == len(answer.signs) and oracle(gold.text, answer.text)
    one, other = _as_set(gold), _as_set(answer)
    if isinstance(one, Ordered | Union) and isinstance(other, Ordered | Union):
        return compare(one, other, oracle)
    return False


def _halves(gold: Union | Listing, answer: Union | Listing, oracle: Oracle) -> bool | None:
    """Returns whether a union equals inequalities joined by "or"."""
    one, other = ([_as_set(part) for part in node.parts] for node in (gold, answer))
    inequalities = gold.parts if isinstance(gold, Listing) else answer.parts
    if not all(isinstance(part, Inequality) for part in inequalities):
        return False
    return in_any_order(one, other, oracle)


_VARIABLE = re.compile(r"[A-Za-z](?:_\{?\w\}?)?(?:\([A-Za-z]\))?|\\(?:theta|alpha|beta|lambda|phi)\s*")


def _as_set(node: Node) -> Node:
    r"""Returns a < x \leq b, x > a, x < b as the interval they describe; any other node as it is."""
    if not isinstance(node, Inequality):
        return node
    sides, signs = node.sides, node.signs
    if signs[0] in (">", r"\geq"):
        sides, signs = sides[::-1], tuple(_MIRRORED.get(sign, sign) for sign in signs[::-1])
    if not set(signs) <= {"<", r"\leq"}:
        return node
    if len(sides) == 3 and _VARIABLE.fullmatch(sides[1]):
        return _interval("(" if signs[0] == "<" else "[", sides[0], sides[2], ")" if signs[1] == "<" else "]")
    if len(sides) == 2 and (within := _ABSOLUTE.fullmatch(sides[0])) and _VARIABLE.fullmatch(within[1].strip()):
        closing = ")" if signs[0] == "<" else "]"
        return _interval("(" if signs[0] == "<" else "[", f"-({sides[1]})", sides[1], closing)
    if len(sides) == 2 and _VARIABLE.fullmatch(sides[0]):
        return _interval("(", r"-\infty", sides[1], ")" if signs[0] == "<" else "]")
    if len(sides) == 2 and _VARIABLE.fullmatch(sides[1]):
        return _interval("(" if signs[0] == "<" else "[", sides[0], r"\infty", ")")
    return node


_ABSOLUTE = re.compile(r"\|([^|]+)\|")
_MIRRORED = {">": "<", r"\geq": r"\leq"}


def _interval(opening: str, low: str, high: str, closing: str) -> Ordered:
    return Ordered(opening, closing, (Leaf(low), Leaf(high)))

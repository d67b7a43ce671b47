r"""Structure: a normalised answer as a tree, which is compared part by part.

(1, \frac{1}{2}]          Ordered of two leaves between brackets: a tuple, a vector, an interval
1, 2 or 3    \{1, 2, 3\}  Listing: order does not matter
(0,1) \cup (2,3)          Union of parts
\begin{cases} …           Cases, or Listing for a system of equations
x = 5   f(x) = 2x + 1     Equation with a name; 2 \cdot 9 = 18 has none
-1 < x \leq 7             Inequality
anything else             Leaf
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_DEPTH = 20


@dataclass(frozen=True)
class Leaf:
    """A number, an expression, words."""

    text: str


@dataclass(frozen=True)
class Ordered:
    """Parts in brackets, in order. `opening` and `closing` are one character each."""

    opening: str
    closing: str
    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Matrix:
    """Rows of cells."""

    rows: "tuple[tuple[Node, ...], ...]"


@dataclass(frozen=True)
class Cases:
    """Branches of a piecewise value, in any order: values with the condition of each as text, "" for otherwise."""

    branches: "tuple[tuple[Node, str], ...]"


@dataclass(frozen=True)
class Listing:
    """Several answers, or the elements of a finite set, in any order."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Union:
    """Parts joined by a union sign, in any order."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Equation:
    """`name = value`, or a chain of equal sides without a name (""). `text` is all of it."""

    name: str
    sides: "tuple[Node, ...]"
    text: str


@dataclass(frozen=True)
class Inequality:
    """A chain of sides, with a sign between each two."""

    sides: tuple[str, ...]
    signs: tuple[str, ...]
    text: str


Node = Leaf | Ordered | Matrix | Cases | Listing | Union | Equation | Inequality


def parse(text: str, depth: int = 0) -> Node:
    r"""Returns the tree of a normalised answer. Raises ValueError where it is nested more than `MAX_DEPTH` deep.

    >>> parse(r"x = 1, 2")
    Listing(parts=(Equation(name='x', sides=(Leaf(text='1'),), text='x = 1'), Leaf(text='2')))
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels, got more")
    text = _MEMBERSHIP.sub("", _trimmed(text))
    for parse_kind in (_matrix, _cases, _listing, _union, _inequality, _equation, _bracketed):
        node = parse_kind(text, depth + 1)
        if node is not None:
            return node
    return Leaf(text)


_MEMBERSHIP = re.compile(r"^[A-Za-z](?:\([A-Za-z]\))?\s*\\in(?![A-Za-z])\s*")


def _all(texts: Iterable[str], depth: int) -> tuple[Node, ...]:
    return tuple(parse(text, depth) for text in texts)


def _trimmed(text: str) -> str:
    """Returns the text without spaces and full stops around it."""
    return re.sub(r"^\s+|[\s.]+$", "", text)


_MATRIX = re.compile(r"\\begin\{pmatrix\}((?:(?!\\begin|\\end).)*)\\end\{pmatrix\}", re.DOTALL)


def _matrix(text: str, depth: int) -> Node | None:
    """Returns a matrix with every row equally long."""
    found = _MATRIX.fullmatch(text)
    if found is None:
        return None
    rows = [row for row in re.split(r"\\\\", found[1]) if row.strip()]
    cells = [_all(row.split("&"), depth) for row in rows]
    return Matrix(tuple(cells)) if cells and len({len(row) for row in cells}) == 1 else None


_CASES = re.compile(r"(?:\\\{)?\s*\\begin\{cases\}((?:(?!\\begin|\\end).)*)\\end\{cases\}", re.DOTALL)
_CONDITION = re.compile(r"^[\s,]*(?:if|for|when|where|otherwise|else|and)?\b[\s,]*|[\s,.;]+$")


def _cases(text: str, depth: int) -> Node | None:
    """Returns the branches of a piecewise value; a system of equations is the list of them."""
    found = _CASES.fullmatch(text)
    if found is None:
        return None
    rows = [row for row in re.split(r"\\\\", found[1]) if row.strip()]
    cells = [
        re.split(r"&|,\s*(?=if\b|for\b|when\b|otherwise\b)|(?<=\s)(?=if\b|when\b|otherwise\b)", row) for row in rows
    ]
    if all(len([cell for cell in row if cell.strip(" ,")]) == 1 for row in cells):
        return Listing(_all(("".join(row).strip(" ,") for row in cells), depth))
    if not all(len(row) > 1 for row in cells):
        return None
    conditions = [_CONDITION.sub("", _CONDITION.sub("", " ".join(row[1:]).strip())) for row in cells]
    values = _all((row[0].strip(" ,") for row in cells), depth)
    return Cases(tuple(zip(values, conditions, strict=True)))


_TOKEN = re.compile(r"[,;=<>]|\b(?:or|and)\b|\\lor\b|\\cup\b|\\[{}|]|[()\[\]{}]|\\[A-Za-z]+")
_THOUSANDS = re.compile(r"(?<![\d.])(\d{1,3}(?:,\d{3})+)(?!\d|,\d)")


def split(text: str, separators: str) -> list[str]:
    """Returns the parts between separators that no bracket encloses. A thousands comma separates nothing."""
    return _parts_and_separators(text, separators)[0]


def _parts_and_separators(text: str, separators: str) -> tuple[list[str], list[str]]:
    """Returns the parts, and the separators between them."""
    kinds = re.compile(separators)
    parts, found, depth, start = list[str](), list[str](), 0, 0
    masked = _THOUSANDS.sub(lambda number: number[0].replace(",", "_"), text)
    for token in _TOKEN.finditer(masked):
        if kinds.fullmatch(token[0]) and depth == 0:
            parts.append(text[start : token.start()])
            found.append(token[0])
            start = token.end()
        elif token[0] in ("(", "[", "{", r"\{"):
            depth += 1
        elif token[0] in (")", "]", "}", r"\}"):
            depth -= 1
    return [*parts, text[start:]], found


def _listing(text: str, depth: int) -> Node | None:
    r"""Returns the elements of a list or of a finite set; both readings of `\pm`."""
    inside = re.fullmatch(r"\\\{(.*)\\\}|\{(.*)\}", text, re.DOTALL)
    if inside and _is_balanced(body := inside[1] or inside[2] or ""):
        return _set(_trimmed(body), depth)
    if re.match(r"or\b|.*\bor$", text):
        return None
    parts = [part for part in split(text, ";") if part.strip()]
    if len(parts) == 1:
        parts = [part for part in split(text, r"[,;]|or|and|\\lor") if part.strip()]
    signed = [branch for part in parts for branch in _branches(part)]
    if len(signed) == 1:
        return None
    return Listing(_distinct(_grouped(_all(signed, depth))))


def _set(body: str, depth: int) -> Listing:
    """Returns the elements between the braces of a set, each once."""
    listing = _listing(body, depth)
    parts = listing.parts if isinstance(listing, Listing) else (parse(body, depth),) if body else ()
    return Listing(tuple(dict.fromkeys(parts)))


def _branches(part: str) -> list[str]:
    r"""Returns both readings of an element that holds `\pm`, or the element alone."""
    if r"\pm" not in part:
        return [part]
    return [re.sub(r"\\pm\s*", sign, part) for sign in ("+ ", "- ")]


def _distinct(parts: tuple[Node, ...]) -> tuple[Node, ...]:
    """Returns the parts with a repeated tuple once: it is one solution. A repeated number may be two roots."""
    return tuple(part for index, part in enumerate(parts) if not (isinstance(part, Ordered) and part in parts[:index]))


def _grouped(parts: tuple[Node, ...]) -> tuple[Node, ...]:
    """Returns p = 5, q = 2, p = 7, q = 2 as two solutions of two equations each."""
    names = [part.name for part in parts if isinstance(part, Equation) and part.name]
    width = len(set(names))
    if len(names) != len(parts) or not 1 < width < len(parts) or len(parts) % width:
        return parts
    groups = [parts[start : start + width] for start in range(0, len(parts), width)]
    each = [sorted(names[start : start + width]) for start in range(0, len(parts), width)]
    return tuple(map(Listing, groups)) if all(group == each[0] for group in each) else parts


def _union(text: str, depth: int) -> Node | None:
    r"""Returns the parts of a union, side by side at the top level."""
    parts = split(text, r"\\cup")
    return Union(_all(parts, depth)) if len(parts) > 1 else None


_SIGNS = r"\\leq|\\geq|\\neq|<|>"


def _inequality(text: str, depth: int) -> Node | None:  # noqa: ARG001
    """Returns a chain of sides with <, >, ≤, ≥ or ≠ between them."""
    parts, signs = _parts_and_separators(text, _SIGNS)
    sides = tuple(part.strip() for part in parts)
    return Inequality(sides, tuple(signs), text) if signs and all(sides) and "=" not in text else None


_NAME = re.compile(r"(?:[A-Za-z]\^\{?-1\}?)?[A-Za-z\\{}|:(),\s']*(?:_\{?\w+\}?[A-Za-z\\{}|:(),\s']*)*")
MAX_SIDES = 8


def _equation(text: str, depth: int) -> Node | None:
    """Returns `name = value`, or sides that are stated to be equal."""
    first, *rest = split(text, "=")
    if not rest or len(rest) > MAX_SIDES or not all(side.strip() for side in rest):
        return None
    name = first.strip() if _NAME.fullmatch(first) and re.search("[A-Za-z]", first) else ""
    sides = rest if name else [first, *rest]
    return Equation(name, _all(sides, depth), text)


def _bracketed(text: str, depth: int) -> Node | None:
    """Returns a tuple, a vector or an interval."""
    if len(text) < 2 or text[0] not in "([" or text[-1] not in ")]" or not _is_one_bracket(text):
        return None
    parts = split(text[1:-1], "[,;]")
    if len(parts) == 1:  # (12,102) is a pair
        parts = split(text[1:-1].replace(",", ", "), "[,;]")
    return Ordered(text[0], text[-1], _all(parts, depth)) if len(parts) > 1 else None


def _is_one_bracket(text: str) -> bool:
    """Returns whether the first bracket is closed by the last one."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            return index == len(text) - 1
    return False


def _is_balanced(body: str) -> bool:
    """Returns whether the removed braces were a pair."""
    depth = 0
    for brace in re.findall(r"[{}]", body):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0

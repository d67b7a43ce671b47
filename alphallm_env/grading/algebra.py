"""Algebra: whether two pieces of LaTeX are equal, by math-verify's parser, exact arithmetic and evaluation at points.

Only a grading process imports this module. Where math-verify rounds or simplifies, this evaluates: two expressions
are equal when they agree to 30 digits at random points at which both are real. That proves equal and different, in ms.
"""

import functools
import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import math_verify
import sympy
from latex2sympy2_extended import latex2sympy, normalize_latex
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

DIGITS = 50  # of an evaluation
TOLERANCE = sympy.Float("1e-30", 15)  # relative
NUM_POINTS = 24  # that are tried
MAX_POINTS = 8  # that are compared
MIN_POINTS = 4  # else the common domain is too small to decide
MAX_TERMS = 1_000  # of a sum
MAX_EXPONENT = 10_000  # of a number, and the largest argument of a factorial or the like

Reading = sympy.Basic | sympy.MatrixBase
Point = dict[sympy.Basic, sympy.Basic | float]

# Units are off: math-verify takes the letters m, s, t at an end for metres, seconds, tons.
_NORMALISATION = replace(math_verify.LatexExtractionConfig().normalization_config, units=False)
_CONVERSION = ConversionConfig(lowercase_symbols=False)
_IMAGINARY_UNIT = sympy.Symbol("i", real=True)
_FUNCTION_NAMES = frozenset("fghpqFGHPQT")


class UnreadableError(ValueError):
    """A text that the parser cannot read, or that is too large to evaluate."""


def equal(gold: str, answer: str) -> bool:
    r"""Returns whether two normalised texts are equal. Raises UnreadableError where one of them cannot be read.

    Of `a \approx b`, a is the answer, and b must be what it rounds to.
    """
    if r"\approx" in answer:
        answer, *rounded = answer.split(r"\approx")
        if not all(_rounds_to(answer, part) for part in rounded):
            return False
    gold = gold.split(r"\approx")[0]
    one, other = map(read, _with_short_subscripts(gold, answer))
    return one == other or _equal(_as_products(one, other), _as_products(other, one))


def _rounds_to(text: str, rounded: str) -> bool:
    """Returns whether a constant differs from a decimal by at most one unit of its last place."""
    decimal = re.fullmatch(r"\s*-?\d+(?:\.(\d+))?\s*", rounded)
    exact, about = read(text), read(rounded)
    if decimal is None or not isinstance(exact, sympy.Expr) or exact.free_symbols:
        return False
    return bool(abs(exact.evalf(DIGITS) - about) <= sympy.Rational(1, 10 ** len(decimal[1] or "")))


_SUBSCRIPT = re.compile(r"(?<![A-Za-z\\])([A-Za-z])_\{([^{}]*)\}")


def _with_short_subscripts(*texts: str) -> list[str]:
    r"""Returns the texts with a letter for every long subscript, which the parser takes for a name and reads slowly."""
    names = sorted({re.sub(r"\s", "", found[2]) for text in texts for found in _SUBSCRIPT.finditer(text)})
    letters = (letter for letter in "ABCDEFGHJKLMNOPQRSTUVWXYZ" if not any(f"_{letter}" in text for text in texts))
    short = dict(zip(names, letters, strict=False))

    def shorten(found: re.Match[str]) -> str:
        letter = short.get(re.sub(r"\s", "", found[2]))
        return found[0] if letter is None else f"{found[1]}_{letter} "

    return [_SUBSCRIPT.sub(shorten, text) for text in texts]


@functools.lru_cache(512)
def read(latex: str) -> Reading:
    """Returns the parsed text: symbols are real, i is the imaginary unit, decimals are exact fractions."""
    try:
        normalised = normalize_latex(latex, config=_NORMALISATION)
        reading = latex2sympy(
            normalised,
            is_real=True,
            convert_degrees=False,
            normalization_config=None,
            conversion_config=_CONVERSION,
        )
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # the parser raises bare exceptions
        raise UnreadableError(f"not readable: {latex!r}") from error
    if not isinstance(reading, sympy.Basic | sympy.MatrixBase):
        raise UnreadableError(f"no expression: {latex!r}")
    _refuse_large(reading)
    exact: dict[sympy.Basic, sympy.Basic] = {
        number: sympy.Rational(str(number)) for number in reading.atoms(sympy.Float)
    }
    if _IMAGINARY_UNIT in reading.free_symbols:
        exact[_IMAGINARY_UNIT] = sympy.I
    return reading.xreplace(exact) if exact else reading


def _refuse_large(reading: Reading) -> None:
    """Raises UnreadableError for an expression that is too large to evaluate: 10^{10^{10}}, 99999!."""
    for node in sympy.preorder_traversal(reading):
        if isinstance(node, sympy.Pow):
            is_bounded = _is_bounded(node.exp, MAX_EXPONENT)
        elif isinstance(node, sympy.factorial | sympy.binomial | sympy.gamma):
            is_bounded = _is_bounded(node.args[0], MAX_EXPONENT)
        elif isinstance(node, sympy.Sum | sympy.Product):
            bounds = [bound for limit in node.limits for bound in limit[1:] if not bound.is_infinite]
            is_bounded = all(_is_bounded(bound, MAX_TERMS) for bound in bounds)
        else:
            continue
        if not is_bounded:
            raise UnreadableError(f"too large to work out: {type(node).__name__}")


def _is_bounded(expression: sympy.Basic, most: int) -> bool:
    """Returns whether a constant expression is at most so large, estimated in floats; True for one with symbols."""
    if expression.free_symbols:
        return True
    try:
        return abs(_magnitude(expression)) <= most
    except (OverflowError, ValueError, ZeroDivisionError, TypeError):
        return False


def _magnitude(node: sympy.Basic) -> float:
    """Returns a constant's value as a float. Raises OverflowError instead of evaluating a huge one."""
    if isinstance(node, sympy.Number):
        return float(node)
    values = [_magnitude(argument) for argument in node.args]
    if isinstance(node, sympy.Add):
        return sum(values)
    if isinstance(node, sympy.Mul):
        return functools.reduce(lambda one, other: one * other, values, 1.0)
    if isinstance(node, sympy.Pow):
        return abs(values[0]) ** values[1]
    if isinstance(node, sympy.exp):
        return 2.718281828459045 ** values[0]
    if isinstance(node, sympy.factorial | sympy.gamma) and values[0] > 1_000:
        raise OverflowError(f"factorial of {values[0]}")
    return float(str(sympy.N(node, 15)))


def _as_products(reading: Reading, other: Reading) -> Reading:
    """Returns the reading with n(n+1) as a product, where the parser took n for a function."""
    symbols = {str(symbol) for symbol in reading.free_symbols | other.free_symbols}
    calls = [
        call
        for call in reading.atoms(AppliedUndef)
        if len(call.args) == 1 and (call.func.__name__ in symbols or call.func.__name__ not in _FUNCTION_NAMES)
    ]
    if not calls:
        return reading
    return reading.xreplace({call: sympy.Symbol(call.func.__name__, real=True) * call.args[0] for call in calls})


def _equal(one: Reading, other: Reading) -> bool:
    """Returns whether two readings are equal, by their kind."""
    if one == other:
        return True
    if isinstance(one, sympy.Equality) != isinstance(other, sympy.Equality):
        return False
    relations = _relations(one), _relations(other)
    if all(relations):
        return _matched(*relations, _same_relation)
    if any(relations):
        return False
    if isinstance(one, sympy.MatrixBase | sympy.MatrixExpr) and isinstance(other, sympy.MatrixBase | sympy.MatrixExpr):
        one, other = one.doit(), other.doit()
        if isinstance(one, sympy.MatrixBase) and isinstance(other, sympy.MatrixBase):
            return one.shape == other.shape and all(map(_equal, one.flat(), other.flat()))
    if isinstance(one, sympy.Tuple) and isinstance(other, sympy.Tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr):
        return _scalars_equal(one, other)
    return math_verify.verify(one, other, numeric_precision=DIGITS, timeout_seconds=0, raise_on_error=True)


def _matched(one: list[Relational], other: list[Relational], same: Callable[[Relational, Relational], bool]) -> bool:
    """Returns whether two lists pair off one to one."""
    left = list(other)
    for item in one:
        match = next((index for index, candidate in enumerate(left) if same(item, candidate)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _relations(reading: Reading) -> list[Relational]:
    """Returns the relations of a chain such as 1 < x < 2; an empty list for anything else."""
    if isinstance(reading, Relational):
        return [reading]
    links: tuple[object, ...] = getattr(reading, "_unsorted_args", ())
    relations = [link for link in links if isinstance(link, Relational)]
    return relations if len(relations) == len(links) else []


_MIRRORED = {sympy.StrictLessThan: sympy.StrictGreaterThan, sympy.LessThan: sympy.GreaterThan}


def _same_relation(one: Relational, other: Relational) -> bool:
    """Returns whether one relation is the other, swapped or multiplied by a constant (a positive one for < and >)."""
    (kind, left, right), (other_kind, other_left, other_right) = _upright(one), _upright(other)
    if kind is not other_kind:
        return False
    is_ordered = kind in (sympy.StrictGreaterThan, sympy.GreaterThan)
    if _equal(left, other_left) and _equal(right, other_right):
        return True
    if not is_ordered and _equal(left, other_right) and _equal(right, other_left):
        return True
    if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
        return False
    if not isinstance(other_left, sympy.Expr) or not isinstance(other_right, sympy.Expr):
        return False
    difference, other_difference = left - right, other_left - other_right
    if _is_multiple(difference, other_difference, positive=is_ordered):
        return True
    if is_ordered:
        return False
    return _is_multiple(_numerator(difference), _numerator(other_difference), positive=False)


def _numerator(expression: sympy.Expr) -> sympy.Expr:
    """Returns the numerator over a common denominator."""
    return sympy.fraction(sympy.together(expression))[0]


def _upright(relation: Relational) -> tuple[type[Relational], Reading, Reading]:
    """Returns the relation's kind and sides with the larger side first."""
    kind = type(relation)
    if kind in _MIRRORED:
        return _MIRRORED[kind], relation.rhs, relation.lhs
    return kind, relation.lhs, relation.rhs


def _is_multiple(one: sympy.Expr, other: sympy.Expr, *, positive: bool) -> bool:
    """Returns whether `other` is a constant multiple of `one`, neither being 0 nor without symbols."""
    if not one.free_symbols or one.free_symbols != other.free_symbols:
        return False
    one, other = _with_stand_ins(one, other)
    ratios = [second / first for first, second in _evaluations(one, other) if first != 0]
    if len(ratios) < MIN_POINTS or not all(_close(ratio, ratios[0]) for ratio in ratios[1:]):
        return False
    return bool(ratios[0] > 0) if positive else ratios[0] != 0


def _scalars_equal(one: sympy.Expr, other: sympy.Expr) -> bool:
    """Returns whether two expressions have the same value wherever both are defined."""
    if one.has(sympy.zoo, sympy.nan):
        raise UnreadableError("a division by zero")
    if other.has(sympy.zoo, sympy.nan):
        return False
    one, other = _with_stand_ins(one, other)
    if not (one.free_symbols or other.free_symbols):
        return _constants_equal(one, other)
    count = 0
    for first, second in _evaluations(one, other):
        if not _close(first, second):
            return False
        count += 1
    if count >= MIN_POINTS:
        return True
    return math_verify.verify(one, other, numeric_precision=DIGITS, timeout_seconds=0, raise_on_error=True)


def _constants_equal(one: sympy.Expr, other: sympy.Expr) -> bool:
    """Returns whether two constants are equal; where digits do not decide, by exact arithmetic or algebra."""
    first, second = _value(one, {}), _value(other, {})
    if first is None or second is None:
        exact, other_exact = one.doit(), other.doit()
        if exact.is_infinite or other_exact.is_infinite:
            return bool(exact == other_exact)
        raise UnreadableError("a constant without a value")
    is_small = max(abs(first), abs(second)) < TOLERANCE
    if not is_small and not _close(first, second):
        return False
    difference = one.doit() - other.doit()
    if difference.is_Rational:
        return bool(difference == 0)
    return not is_small or bool(sympy.simplify(difference) == 0)


def _close(first: sympy.Expr, second: sympy.Expr) -> bool:
    """Returns whether two values agree to 30 digits."""
    return bool(abs(first - second) <= TOLERANCE * max(abs(first), abs(second)))


def _evaluations(one: sympy.Expr, other: sympy.Expr) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    """Yields the values of both at random points of their common domain, which is real unless one of them has an i."""
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    is_real = not (one.has(sympy.I) or other.has(sympy.I))
    nonnegative = _radicands(one) | _radicands(other) if is_real else set[sympy.Expr]()
    points = _points(f"{one}|{other}", symbols, _counters(one) | _counters(other))
    num_found = 0
    for point in itertools.islice(points, NUM_POINTS):
        if num_found == MAX_POINTS:
            return
        first, second = _value(one, point), _value(other, point)
        if first is None or second is None or (is_real and not (first.is_real and second.is_real)):
            continue
        if all((value := _value(part, point)) is not None and value.is_nonnegative for part in nonnegative):
            num_found += 1
            yield first, second


def _radicands(expression: sympy.Expr) -> set[sympy.Expr]:
    """Returns the terms that must not be negative for the expression to be real: under roots and in logarithms."""
    powers = {power.base for power in expression.atoms(sympy.Pow) if power.exp.is_integer is not True}
    return powers | {logarithm.args[0] for logarithm in expression.atoms(sympy.log)}


def _with_stand_ins(one: sympy.Expr, other: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Returns both with a smooth function of the same arguments for each call of an unknown function f."""
    smooth: dict[sympy.Basic, sympy.Basic] = {}
    for call in one.atoms(AppliedUndef) | other.atoms(AppliedUndef):
        weights = random.Random(call.func.__name__)
        terms = (sympy.Rational(weights.randint(100, 999), 307) * argument for argument in call.args)
        smooth[call] = sympy.cos(sympy.Add(*terms) + sympy.Rational(weights.randint(100, 999), 211))
    return cast(sympy.Expr, one.xreplace(smooth)), cast(sympy.Expr, other.xreplace(smooth))


def _counters(expression: sympy.Expr) -> set[sympy.Basic]:
    """Returns the symbols in the bounds of a sum or a product, which are whole numbers."""
    found: set[sympy.Basic] = set()
    for node in expression.atoms(sympy.Sum, sympy.Product):
        for limit in node.limits:
            found |= set().union(*(bound.free_symbols for bound in limit[1:]))
    return found


def _points(seed: str, symbols: list[sympy.Basic], counters: set[sympy.Basic]) -> Iterator[Point]:
    """Yields points of many magnitudes, odd ones of any sign. Seeded by both texts, so no text can predict them."""
    rng = random.Random(seed)
    for index, size in enumerate(itertools.cycle((1, 1, 8, sympy.Rational(1, 6)))):
        signs = (1,) if index % 2 == 0 else (1, -1)
        yield {
            symbol: sympy.Integer(rng.randint(3, 8))
            if symbol in counters
            else size * sympy.Rational(rng.randint(307, 4_999), 1_009) * rng.choice(signs)
            for symbol in symbols
        }


def _value(expression: sympy.Expr, point: Point) -> sympy.Expr | None:
    """Returns the expression's value at a point to `DIGITS` digits, None where it has none."""
    try:
        if expression.has(sympy.Sum, sympy.Product, sympy.Integral, sympy.Derivative, sympy.Limit):
            value = cast(sympy.Expr, expression.subs(list(point.items())).doit()).evalf(DIGITS)
        else:
            value = expression.evalf(DIGITS, subs=point)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError, ArithmeticError, NotImplementedError):
        return None
    return value if value.is_number and value.is_finite and value.is_complex else None

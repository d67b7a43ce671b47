r"""Arithmetic: the exact value of sums, products, quotients and powers of numbers, such as 2 \cdot 3/4."""

import re
from fractions import Fraction

MAX_BITS = 4_096  # of a numerator or a denominator in between
_TOKEN = re.compile(r"\s*(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+|\\frac|\\cdot|\\times|\\div|[-+*/^(){}])")


class _NoArithmeticError(Exception):
    """The text is not arithmetic."""


def arithmetic(text: str) -> Fraction | None:
    r"""Returns the exact value of arithmetic on plain numbers, None for anything else, or where it is too large.

    >>> arithmetic(r"2 \cdot 3/4"), arithmetic(r"-2\frac{1}{2}"), arithmetic("2^{10}"), arithmetic("10^{10^{10}}")
    (Fraction(3, 2), Fraction(-5, 2), Fraction(1024, 1), None)
    """
    if len(text) > 300:
        return None
    tokens, position = list[str](), 0
    while position < len(text.rstrip()):
        found = _TOKEN.match(text, position)
        if found is None or (found[1][0].isdigit() and tokens and tokens[-1][-1].isdigit()):
            return None
        tokens.append(found[1])
        position = found.end()
    try:
        parser = _Parser(tokens)
        value = parser.sum()
    except (_NoArithmeticError, ZeroDivisionError, RecursionError):
        return None
    return value if not parser.tokens else None


class _Parser:
    """Recursive descent over tokens, each method one level of precedence."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens[::-1]

    def sum(self) -> Fraction:
        """Returns the value of terms with + and - between them."""
        value = self.product()
        while self._next() in ("+", "-"):
            sign = self.tokens.pop()
            term = self.product()
            value = _bounded(value + term if sign == "+" else value - term)
        return value

    def product(self) -> Fraction:
        """Returns the value of factors with a sign of multiplication or division, or nothing, between them."""
        if self._next() in ("+", "-"):
            return self.product() if self.tokens.pop() == "+" else -self.product()
        value = self.power()
        while (sign := self._next()) in ("*", "/", r"\cdot", r"\times", r"\div", "(", r"\frac"):
            if sign not in ("(", r"\frac"):
                self.tokens.pop()
            factor = -self.power() if self._accept("-") else self.power()
            value = _bounded(value / factor if sign in ("/", r"\div") else value * factor)
        return value

    def power(self) -> Fraction:
        """Returns a base, or its power with a whole exponent."""
        base = self.atom()
        if not self._accept("^"):
            return base
        exponent = -self.atom() if self._accept("-") else self.atom()
        largest = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator != 1 or abs(exponent) * largest > MAX_BITS or self._next() == "^":
            raise _NoArithmeticError
        return base ** int(exponent)

    def atom(self) -> Fraction:
        r"""Returns a number, a mixed number, a fraction, or what brackets hold."""
        token = self.tokens.pop() if self.tokens else ""
        if token in ("(", "{"):
            value = self.sum()
            self._expect(")" if token == "(" else "}")
            return value
        if token == r"\frac":
            return self._fraction()
        if not token[:1].isdigit() and token[:1] != ".":
            raise _NoArithmeticError
        number = Fraction(token.replace(",", "").rstrip("."))
        if self._next() == r"\frac":
            self.tokens.pop()
            return self._mixed(number)
        return number

    def _fraction(self) -> Fraction:
        self._expect("{")
        over = self.sum()
        self._expect("}")
        self._expect("{")
        under = self.sum()
        self._expect("}")
        return over / under

    def _mixed(self, whole: Fraction) -> Fraction:
        """Returns a whole number and a part below 1."""
        part = self._fraction()
        if whole.denominator != 1 or not 0 < part < 1:
            raise _NoArithmeticError  # 2 \frac{3}{2} may be a product
        return whole + part

    def _next(self) -> str:
        return self.tokens[-1] if self.tokens else ""

    def _accept(self, token: str) -> bool:
        if self._next() != token:
            return False
        self.tokens.pop()
        return True

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise _NoArithmeticError


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _NoArithmeticError
    return value

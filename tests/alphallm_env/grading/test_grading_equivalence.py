r"""Equivalence, kind by kind: what is equal, and near misses that are not. One line is `answer | gold`."""

from collections.abc import Iterator

import pytest

from alphallm_env.grading import Grader, Verdict

EQUAL = {
    "integers and decimals": r"""
        18 | 18
        18.0 | 18
        018 | 18
        +18 | 18
        -18 | -18
        −18 | -18
        $18$ | 18
        \(18\) | 18
        \[18\] | 18
        **18** | 18
        18. | 18
        .5 | 0.5
        0.50 | .5
        -0.25 | -.25
        \boxed{18} | 18
        \mathbf{33} | 33
        \text{18} | 18
        1000.0 | 1000
        004 | 4
        185\ | 185
        """,
    "thousands": r"""
        1,234 | 1234
        1,234,567 | 1234567
        1,234.50 | 1234.5
        1{,}234 | 1234
        1{, }234 | 1234
        12{,}345{,}678 | 12345678
        1,\!234 | 1234
        11,\! 111,\! 111,\! 100 | 11111111100
        1\,234\,567 | 1234567
        1~234 | 1234
        12 345 | 12345
        1 000 000 | 1000000
        $1,000,000 | 1000000
        -1,234 | -1234
        """,
    "decimal comma, where it can be nothing else": r"""
        1000,99 | 1000.99
        2,74 | 2.74
        3,5 | 3.5
        1.234,56 | 1234.56
        0,25 | \frac{1}{4}
        2,50 € | 2.5
        Total: 3,75 | 3.75
        """,
    "fractions and mixed numbers": r"""
        1/2 | \frac{1}{2}
        \frac12 | 0.5
        \dfrac{1}{2} | 1/2
        \tfrac{3}{4} | .75
        \cfrac{3}{4} | 3/4
        \frac 1 2 | 1/2
        \frac{1}2 | 1/2
        \frac1{72} | 1/72
        -\frac{1}{2} | \frac{-1}{2}
        \frac{1}{-2} | -0.5
        \frac{2}{4} | 1/2
        (1)/(2) | 0.5
        (3/4) | 0.75
        2 1/3 | 7/3
        2\frac{1}{3} | \frac{7}{3}
        -2\frac{1}{3} | -7/3
        918\frac{1}{2} | 918.5
        \frac{1,000}{3} | 1000/3
        \frac{1.5}{2} | 3/4
        \frac{\frac{1}{2}}{3} | 1/6
        \boxed{\frac{63}{400}} | \frac{63}{400}
        """,
    "arithmetic": r"""
        1 + 2 | 3
        2\cdot 3/4 | 3/2
        2 \times 9 | 18
        3 \times 10^2 | 300
        2^{10} | 1024
        2**10 | 1024
        10^{-3} | 0.001
        \frac{1}{2}+\frac{1}{6} | 2/3
        (9+1) | 10
        5! | 120
        \sqrt{16} | 4
        \binom{5}{2} | 10
        2 * 9 = 18 | 18
        3 \cdot 6 = 9 \cdot 2 = 18 | 18
        |-3| | 3
        7 - (-3) | 10
        """,
    "scientific notation": r"""
        3.54e-07 | 3.54*10^{-7}
        3.54E-7 | 3.54 \times 10^{-7}
        1.5 \times 10^3 | 1500
        1.5 \cdot 10^{3} | 1500
        1.5 × 10^3 | 1500
        6.02e23 | 6.02 \times 10^{23}
        10^{-7} | 1e-7
        2e3 | 2000
        -1.2e2 | -120
        10^6 | 1,000,000
        """,
    "percent and degrees are units": r"""
        50\% | 50
        50% | 50\%
        50 percent | 50%
        28 pct | $28\%$
        $28$ % | $28\%$
        12.5\% | 12.5
        \frac{1}{2}\% | 0.5\%
        90^\circ | 90
        90° | 90^{\circ}
        90 degrees | 90^\circ
        45^{\circ} | 45
        """,
    "money": r"""
        $5 | 5
        \$5 | 5
        5 dollars | \$5
        $5.00 | 5
        5.00 USD | 5
        €5 | 5
        1,000.99$ | 1000.99
        \$23{,}000 | 23000
        50 cents | 50
        £3.20 | 3.2
        """,
    "units": r"""
        1cm | 1
        3s | 3
        10 | 10\text{ units}
        10 cm | 10 centimeters
        10 \text{ cm} | 10
        10\text{ cm}^2 | 10
        10 cm^2 | 10 square centimeters
        10 \text{ sq cm} | 10\text{ cm}^2
        18 apples | 18
        18 red apples | 18 apples
        \frac{1}{3} \textbf{meters} | 1/3
        2\sqrt{3} \text{ cm} | 2\sqrt{3}
        9\pi \text{ square inches} | 9\pi
        60 mph | 60
        60 miles per hour | 60 mph
        60 km/h | 60 \text{ kilometers per hour}
        8 \text{ inches} | 8
        5 hours | 5 hrs
        12 people | 12
        1\frac{1}{2} \text{ cups} | 1.5
        -5 degrees | -5
        """,
    "labels and sentences around one number": r"""
        Soucis : 2,74 $ a.. | 2.74
        Total: 18 | 18
        Answer: 18 | 18
        The total is 18 apples. | 18
        She has 18 apples left | 18
        Jane started growing Sphere 3 hours ago | 3
        The sum of the numbers is 120 | 120
        It costs $12.50 in total | 12.5
        x is 5 | 5
        """,
    "names before the value": r"""
        x = 5 | 5
        5 | x = 5
        x=5 | x = 5.0
        f(x) = 2x+1 | 2x+1
        2x + 1 | y = 1+2x
        k = \frac{1}{3} | 1/3
        1 | |AB|=1
        1 | A:B=1
        1 | f(x)=1
        \frac{1}{\sqrt{6}} | \frac{NO}{BO}=\frac{1}{\sqrt{6}}
        (3,2) | (p,q)=(3,2)
        (x, y) = (1, 2) | (1, 2)
        p = 3, q = 2 | (p,q) = (3,2)
        x \approx 3.14 | 3.14
        m\angle A = 30 | 30
        \overline{AB} = 5 | 5
        """,
    "roots and pi": r"""
        \sqrt3 | \sqrt{3}
        sqrt(3) | \sqrt{3}
        \sqrt{12} | 2\sqrt{3}
        2√3 | \sqrt{12}
        \frac{1}{\sqrt{2}} | \frac{\sqrt{2}}{2}
        \frac94\pi | \frac{9\pi}{4}
        9π/4 | \frac{9}{4}\pi
        pi/2 | \frac{\pi}{2}
        2 \pi | 2pi
        \sqrt[3]{8} | 2
        \frac{1+\sqrt{5}}{2} | \frac{1}{2}+\frac{\sqrt{5}}{2}
        \sqrt{3+2\sqrt{2}} | 1+\sqrt{2}
        \frac{\sqrt{\sqrt{11}+\sqrt{194}}}{2\sqrt{33}+15} | \frac{\sqrt{\sqrt{11}+\sqrt{194}}}{15+2\sqrt{33}}
        10^{\frac{\sqrt{13}-5}{6}} | 10^{\frac{-5+\sqrt{13}}{6}}
        e^{2} | e \cdot e
        \ln e^2 | 2
        \log_2 8 | 3
        \cos\frac{2\pi}{3} | -\frac{1}{2}
        """,
    "algebra": r"""
        x+x | 2x
        (x-2)(x+2) | x^2-4
        (r+5)^2 | (r+5)(r+5)
        x(x+1) | x^2+x
        n(n+1)/2 | \frac{n^2+n}{2}
        \frac{x}{7}+\frac{2}{7} | \frac{x+2}{7}
        \sec^2(y) | \tan^2(y)+1
        \sin 2x | 2\sin x\cos x
        x^2+y^2+4x-6y+13 | (x+2)^2+(y-3)^2
        \frac{1}{3x^{2/3}} | \frac{1}{3\sqrt[3]{x}^2}
        ab + c | c + ba
        2^{2n} | 4^n
        e^{x+1} | e \cdot e^x
        \frac{x^2-1}{x-1} | x+1
        0.5x | \frac{x}{2}
        \frac{3}{4}i | \frac34i
        (2+3i)(2-3i) | 13
        3+4i | 4i+3
        \sqrt{x}\sqrt{y} | \sqrt{xy}
        \ln(x^2) | 2\ln x
        x_1 + x_2 | x_{2} + x_{1}
        """,
    "equations": r"""
        y=-\frac{1}{2}x+\frac{3}{4} | 2x+4y-3=0
        2x + 2y = 6 | x + y = 3
        y = 2x+1 | y = 1 + 2x
        y = 2x | x = \frac{y}{2}
        x^2+y^2=1 | 1 = y^2 + x^2
        F_n = \sum_{k=0}^{n-1} F_{n-k-1} F_k | F_n = \sum_{k=0}^{n-1} F_k F_{n-k-1}
        3x - y = 0 | y = 3x
        """,
    "inequalities": r"""
        x <= 2 | x \leq 2
        x ≤ 2 | x \le 2
        5 \geq x | x \leq 5
        x \gt 5 | x > 5
        2x > 10 | x > 5
        -x < -5 | x > 5
        2 > x > 1 | 1 < x < 2
        f(1) > f(2) | f(2) < f(1)
        x \ne 3 | x \neq 3
        x \geqslant 3 | x \geq 3
        """,
    "intervals and inequalities": r"""
        [0,1) | [0, 1)
        \left[0,1\right) | [0,1)
        (0.5, 1] | (\frac{1}{2}, 1]
        x \in [-2,7] | -2 \le x \le 7
        -2 \leq x \leq 7 | [-2, 7]
        (0,1) | 0<f(x)<1
        (-793, 10) | -793 < a < 10
        x > 3 | (3, \infty)
        (3, +\infty) | x > 3
        (-\infty, 5] | x \leq 5
        (-\infty,0)\cup(0,\infty) | (0,\infty) \cup (-\infty,0)
        x \in (2,12) \cup (12,102) | (2, 12) \cup (12, 102)
        x < 1 \text{ or } x > 3 | (-\infty, 1) \cup (3, \infty)
        all real numbers | \mathbb{R}
        (-\infty, \infty) | all real numbers
        \left(-\infty, \frac{1}{2}\right] | (-\infty, 0.5]
        """,
    "sets and several answers": r"""
        \{1, 2, 3\} | \{3, 1, 2\}
        {1,2} | \{1,2\}
        1, 2 | 2, 1
        1 and 2 | 2 and 1
        1, 2, and 3 | 1,2,3
        1 \text{ or } 2 | 1, 2
        1; 2 | 1, 2
        \{-12, -11, -10\} | -12;-11;-10
        \pm 3 | 3, -3
        1 \pm \sqrt{5} | 1+\sqrt{5}, 1-\sqrt{5}
        x = 1, x = 2 | 1, 2
        x = 1 \text{ or } x = 2 | x = 2, x = 1
        x_1 = 1, x_2 = 2 | 1, 2
        p=5,q=2;p=7,q=2 | p = 5, q = 2 \quad \text{and} \quad p = 7, q = 2
        a_{37} = 19, a_3 = 2 | a_3 = 2, a_{37} = 19
        4, 5 | AB=4,CD=5
        (2, 2), (1, 3) | (1, 3), (2, 2)
        (x, y) = (5, 8) \text{ and } (8, 5) | (5, 8), (8, 5)
        n=1, 2, 3 | 1,2,3
        \lbrace 1, 2 \rbrace | \{1,2\}
        19, 46, \text{ and } 82 | 19, 46, and 82
        \varnothing | no solution
        No solutions. | \emptyset
        1,000, 2,000 | 1000, 2000
        """,
    "tuples and vectors": r"""
        (1, 2) | (1,2)
        \left( \frac{1}{2}, 3 \right) | (0.5, 3)
        (3,\frac{\pi}{2}) | (3,\pi/2)
        (1,2,3) | (1, 2, 3)
        (14/3, 2/3) | (14/3, 4/6)
        \langle 1, 2 \rangle | (1, 2)
        (1, (2, 3)) | (1,(2,3))
        (-1, 0) | ( -1 , 0.0 )
        """,
    "matrices": r"""
        \begin{bmatrix} 0 & 1 \\ 2 & 3 \end{bmatrix} | \begin{pmatrix}0&1\\2&3\end{pmatrix}
        \begin{pmatrix} 1/2 \\ 3 \end{pmatrix} | \begin{pmatrix} 0.5 \\ 3 \end{pmatrix}
        \left[\begin{array}{cc}1 & 2 \\ 3 & 4\end{array}\right] | \begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}
        \begin{pmatrix}1 & 2 \\ 3 & 4 \\ \end{pmatrix} | \begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}
        \begin{pmatrix}x+x\end{pmatrix} | \begin{pmatrix}2x\end{pmatrix}
        \begin{pmatrix}1 & 2\end{pmatrix} + \begin{pmatrix}5 & 6\end{pmatrix} | \begin{pmatrix}6 & 8\end{pmatrix}
        2\begin{pmatrix}1 & 2\end{pmatrix} | \begin{pmatrix}2 & 4\end{pmatrix}
        \(\begin{pmatrix}1\\2\end{pmatrix}\) | $\begin{pmatrix}1\\2\end{pmatrix}$
        """,
    "words and choices": r"""
        Evelyn | \text{Evelyn}
        evelyn | Evelyn
        \text{odd} | odd
        Yes | yes
        Bob | \text{bob}
        No. | no
        \text{True} | true
        The midpoints form a regular hexagon | \text{The midpoints form a regular hexagon}
        C | (C)
        (C) | \text{(C)}
        \text{(C)}. | C
        C. | C
        c) | C
        Option B | B
        b | B
        (e) | E
        D | (D) Alina
        (D) 45 | D
        \textbf{(A)}\ 5 | A
        \mathrm{E} | E
        12:00 | 12:00
        f' | f'
        Tuesday | \text{Tuesday}
        """,
    "numerals with a base, ratios": r"""
        204_5 | 204_5
        204_{5} | 204_5
        204 | 204_5
        1011_2 | 1011_{2}
        2:3 | 2:3
        2 : 3 | 2:3
        """,
}

DIFFERENT = {
    "numbers": r"""
        18 | 20
        18 | -18
        18.01 | 18
        17.9999999999 | 18
        0.333333 | 1/3
        0.33 | \frac{1}{3}
        1.8 | 18
        1e3 | 100
        1,234 | 1.234
        12,34 | 1234
        1,2 | 12
        1, 2 | 1.2
        1,0 | 1
        1001 | \frac{2003}{2}
        2/3 | 3/2
        2\frac{1}{3} | 2/3
        \frac{1}{0} | 1
        10^{-3} | -1000
        2^3 | 6
        22/7 | \pi
        3.14159 | \pi
        1.41421356 | \sqrt{2}
        2.6667 | 8/3
        18.0000000000000000001 | 18
        123456789012345678 | 123456789012345679
        """,
    "hedges and several answers": r"""
        18 or 20 | 18
        18, 20 | 18
        18 and 20 | 18
        18/20 | 18
        18 20 | 18
        1 8 | 18
        18; 20 | 18
        \{18, 20\} | 18
        (18, 20) | 18
        18 (or 20) | 18
        18 \text{ or } 20 | 18
        18 \lor 20 | 18
        either 18 or 20 | 18
        18 maybe 20 | 18
        18? | 18
        about 18 | 18
        approximately 18 | 18
        not 18 | 18
        It is not 18 | 18
        It isn't 18 | 18
        less than 18 | 18
        at least 18 | 18
        more than 18 | 18
        18 to 20 | 18
        18-20 | 18
        18 = 20 | 18
        20 = 18 | 18
        x = 18 = 20 | 18
        \pm 18 | 18
        2021 | \pm 2021
        18 \pm 2 | 18
        18 \neq 20 | 18
        18 < 20 | 18
        18 \approx 20 | 18
        x = 18 or x = 20 | 18
        x = 18, y = 20 | 18
        18 dozen | 18
        18 hundred | 18
        18 million | 18
        18 over 5 | 18
        18 squared | 18
        18..20 | 18
        \boxed{18} or \boxed{20} | 18
        18, 18 | 18
        the number is not 10 which is 18 | 18
        multiple of 18 | 18
        the square root of 18 | 18
        all except 18 | 18
        twice 18 | 18
        minus 18 | 18
        negative 18 | 18
        18 remainder 2 | 18
        between 18 and 20 | 18
        """,
    "parts of an answer, or more than it": r"""
        18 | 18 or 20
        1, 2 | 1, 2, 3
        1, 2, 3, 4 | 1, 2, 3
        1, 1 | 1, 2
        \sqrt{67} | \sqrt{67},-\sqrt{85}
        4, 12, 2 | 10, 4, 2
        3 | \pm 3
        1 + \sqrt{5} | 1 \pm \sqrt{5}
        (1, 2) | (1, 2), (3, 4)
        x = 1 | x = 1, y = 2
        (0, 1) | (0,1) \cup (2,3)
        """,
    "units": r"""
        5 cm | 5 m
        5 cm^2 | 5 cm
        5 cm^3 | 5 cm^2
        5 hours | 5 minutes
        50\% | 0.5
        50\% | \frac{1}{2}
        50% | 50^\circ
        5 dollars | 5 cents
        \$5 | €5
        60 mph | 60 km/h
        5 boys | 5 girls
        100 cm | 1 m
        3x | 3
        2\pi h | 2\pi
        5m + 2 | 7
        """,
    "tuples, intervals, sets": r"""
        (1, 2) | (2, 1)
        (1, 2) | [1, 2]
        (0, 1] | [0, 1)
        [0,1) | [0,9)
        [0,9) | (0,9)
        (1, 2) | 1, 2
        (1, 2) | \{1, 2\}
        \{1, 2\} | (1, 2)
        (1, 2, 3) | (1, 2)
        (1, 2) | 1.2
        (1,2) | 12
        (0.6, 2.6667] | (\frac{3}{5}, \frac{8}{3}]
        [0, 3) | [0, 1]
        (-\infty, 3) | (-\infty, 3]
        (-\infty,0)\cup(1,\infty) | (-\infty,0)\cup(0,\infty)
        x > 3 | [3, \infty)
        -2 < x < 7 | [-2, 7]
        (0, \infty) | all real numbers
        p=5,q=7;p=7,q=5 | p=5,q=5;p=7,q=7
        x = 2, y = 1 | x = 1, y = 2
        5, 4 | AB=4,CD=5
        (q,p) = (3,2) | p=3, q=2
        """,
    "algebra": r"""
        x+1 | x
        x+x | 3x
        2x | x^2
        x^2 | 2^x
        -x | x
        X + x | 2x
        y | x
        f(y) | f(x)
        3x t | 3x
        (x+1)^2 | x^2+1
        \sqrt{x^2} | x
        \frac{x}{2} | \frac{2}{x}
        \sin x | \cos x
        \sqrt{x+y} | \sqrt{x}+\sqrt{y}
        0.333333x | \frac{x}{3}
        x + 10^{-20} | x
        \sqrt{2} + 10^{-20} | \sqrt{2}
        2^{100} + 1 | 2^{100}
        i | 1
        x_1 | x_2
        y' | y
        f' | f
        \ln x | \log_{10} x
        e | 2.718281828
        \mathrm{E}*2 | E
        \frac{1+\sqrt{5}}{2} | 2
        n! | n
        x^{-1} | -x
        a/b | b/a
        4\sqrt{2} | 4
        |x| | x
        """,
    "equations and inequalities": r"""
        x > 3 | x < -1
        x > 5 | x < 5
        x \leq 5 | x < 5
        x \leq 5 | x \geq 5
        x < 5 | y < 5
        -x < 5 | x < -5
        1 < x < 2 | 1 < x < 3
        1 < x \leq 2 | 1 < x < 2
        0 | a^2 + b = 0
        y = 2x + 1 | y = 2x - 1
        x = 5 | y = 5
        x = 1 | x^2 = 1
        0 = 1 | x = x + 1
        x + y = 3 | x + y = 4
        x = 2y | y = 2x
        F_n = \sum_{k=0}^{n-2} F_k F_{n-k-2} | F_n = \sum_{k=0}^{n-1} F_k F_{n-k-1}
        f(1) < f(2) < f(4) | f(2) < f(1) < f(4)
        x = 5 | 6
        2x = 5 | 5
        """,
    "matrices": r"""
        \begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix} | \begin{pmatrix}1 & 3 \\ 2 & 4\end{pmatrix}
        \begin{pmatrix}1 & 2\end{pmatrix} | \begin{pmatrix}1 \\ 2\end{pmatrix}
        \begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix} | \begin{pmatrix}1 & 2\end{pmatrix}
        \begin{vmatrix}1 & 2 \\ 3 & 4\end{vmatrix} | \begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}
        -\begin{pmatrix}1 & 2\end{pmatrix} | \begin{pmatrix}1 & 2\end{pmatrix}
        \begin{pmatrix}1 & 2\end{pmatrix} | 1, 2
        """,
    "words, choices, notations": r"""
        Carla | Evelyn
        oddd | odd
        even | odd
        Yes | no
        obB | Bob
        yes | no
        Yes or no | yes
        not Evelyn | Evelyn
        Evelyn and Carla | Evelyn
        true | yes
        A | C
        (A) or (C) | A
        A, C | A
        A and C | A
        (A) 5 | (C) 5
        E | e
        C | c
        (A) (B) | A
        (D) Peter | (D) Alina
        C | (A) Cecile
        1:00 | 12:00
        2:3 | 3:2
        204_7 | 204_5
        204_7 | 204
        no solution | 0
        \infty | -\infty
        undefined | 0
        """,
}


def cases(table: dict[str, str]) -> list[object]:
    return [
        pytest.param(*line.strip().rsplit(" | ", 1), id=f"{kind}: {line.strip()}")
        for kind, lines in table.items()
        for line in lines.strip().splitlines()
    ]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


@pytest.mark.parametrize(("answer", "gold"), cases(EQUAL))
def test_equal(grader: Grader, answer: str, gold: str):
    assert grader.grade(answer, gold) is Verdict.CORRECT


@pytest.mark.parametrize(("answer", "gold"), cases(DIFFERENT))
def test_different(grader: Grader, answer: str, gold: str):
    assert grader.grade(answer, gold) is Verdict.INCORRECT

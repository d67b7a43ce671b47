"""Attacks by computer algebra: what sympy evaluates when it is given text, and what it takes for ever over."""

from experiments.bench.attacks.attack import table

_SHELL = "__import__('os').system('echo x > {target}')"
_READ = "print(open('{canary}').read())"

_EVAL = table("sympy evaluates text", {
    "sympify, shell": f'import sympy\nsympy.sympify("{_SHELL}")\nraise OSError',
    "sympify, file": f'import sympy\nsympy.sympify("{_READ}")',
    "S": f'import sympy\nsympy.S("{_READ}")',
    "parse_expr": f'from sympy.parsing.sympy_parser import parse_expr\nparse_expr("{_READ}")',
    "parse_expr with its own names": f'from sympy.parsing.sympy_parser import parse_expr\nnames = {{}}\nexec("from sympy import *", names)\nparse_expr("{_SHELL}", global_dict=names)\nraise OSError',
    "parse_expr, subclasses": "from sympy.parsing.sympy_parser import parse_expr\nprint(parse_expr(\"().__class__.__base__.__subclasses__()\"))\nparse_expr(\"open('{canary}')\")",
    "simplify": f'import sympy\nsympy.simplify("{_READ}")',
    "solve": f'import sympy\nsympy.solve("{_READ}")',
    "N": f'import sympy\nsympy.N("{_READ}")',
    "integrate": f'import sympy\nsympy.integrate("{_READ}", "x")',
    "series": f'import sympy\nsympy.series("{_READ}", sympy.Symbol("x"))',
    "symbols that are code": "import sympy\nx = sympy.Symbol(\"x, open('{canary}').read()\")\nprint(sympy.lambdify(x, x)(1))",
    "lambdify, a text": f'import sympy\nprint(sympy.lambdify(sympy.Symbol("x"), "{_READ}")(1))',
    "lambdify, modules": "import sympy\nprint(sympy.lambdify([], 'f()', modules=[{'f': lambda: open('{canary}').read()}])())",
    "Matrix of text": f'import sympy\nsympy.Matrix(["{_READ}"])',
    "kernS": f'from sympy.core.sympify import kernS\nkernS("{_READ}")',
    "nsimplify": f'import sympy\nsympy.nsimplify("{_READ}")',
    "Poly": f'import sympy\nsympy.Poly("{_READ}")',
    "mathematica": "from sympy.parsing.mathematica import parse_mathematica\nprint(parse_mathematica('Import[\"{canary}\"]'))\nparse_mathematica('Run[\"echo x > {target}\"]')",
    "srepr and back": "import sympy\nclass X(sympy.Symbol):\n    def _sympyrepr(self, p): return \"open('{canary}').read()\"\nprint(eval(sympy.srepr(X('x'))))",
    "a compiler": "import sympy\nfrom sympy.utilities.autowrap import autowrap\nautowrap(sympy.Symbol('x'), tempdir='.')",
    "latex": "import sympy\nsympy.preview(sympy.Symbol('x'), viewer='file', filename='{folder}/x.png')",
    "a session": "import sympy\nsympy.init_session()\nprint(open('{canary}').read())",
    "a plot to a file": "import sympy\nsympy.plot(sympy.Symbol('x'), show=False, backend='text').save('{folder}/x')",
    "modules by name": "from sympy.external import import_module\nprint(import_module('posix').open('{canary}', 0))",
    "its tests": "import sympy\nsympy.test('nothing', subprocess=True)\nraise OSError",
    "doctests of a file": "import doctest\ndoctest.testfile('{canary}', module_relative=False)",
    "code printers": "import sympy\nfrom sympy.utilities.codegen import codegen\ncodegen(('f', sympy.Symbol('x')), 'C', '{folder}/x', to_files=True)",
})  # fmt: skip

_ENDLESS = table("sympy for ever", {
    "tower of text": "import sympy\nsympy.sympify('9**9**9**9')",
    "tower of numbers": "import sympy\nsympy.Integer(10)**sympy.Integer(10)**10",
    "factorial": "import sympy\nsympy.factorial(10**9)",
    "factorial of a factorial": "import sympy\nsympy.sympify('factorial(factorial(factorial(9)))')",
    "factors": "import sympy\nsympy.factorint((2**521 - 1) * (2**607 - 1))",
    "primes": "import sympy\nsympy.primepi(10**16)",
    "the next prime": "import sympy\nsympy.nextprime(10**4000)",
    "discrete logarithm": "import sympy\nsympy.discrete_log(2**127 - 1, 3**77 % (2**127 - 1), 3)",
    "an integral": "import sympy as s\nx = s.Symbol('x')\nwhile True: s.integrate(s.sqrt(s.sin(x)**3 + s.exp(x) * s.log(x)) / (1 + x**5), x)",
    "a simplification": "import sympy as s\nx = s.Symbol('x')\nwhile True: s.simplify(sum(s.sin(k * x)**k for k in range(40)))",
    "an expansion": "import sympy as s\ns.expand(sum(s.symbols('a:40'))**40)",
    "a determinant": "import sympy as s\ns.Matrix(12, 12, s.symbols('a:144')).det(method='berkowitz').expand()",
    "a Groebner basis": "import sympy as s\nv = s.symbols('a:9')\ns.groebner([sum(x**k for x in v) - k for k in range(1, 9)])",
    "a system": "import sympy as s\nv = s.symbols('a:6')\ns.solve([x**5 + y**3 - 1 for x, y in zip(v, v[1:] + v[:1])], v)",
    "digits": "import sympy\nsympy.pi.evalf(10**8)",
    "digits of a zero": "import sympy as s\ns.N(s.sin(10**400) - s.sin(10**400 + s.Rational(1, 10**10**5)), 10**6)",
    "partitions": "import sympy\nfrom sympy.utilities.iterables import partitions\nsum(1 for _ in partitions(500))",
    "a matrix power": "import sympy as s\ns.Matrix([[1, 1], [1, 0]])**(10**9)",
    "a group": "from sympy.combinatorics import SymmetricGroup\nlist(SymmetricGroup(14).generate())",
    "text that parses for ever": "import sympy\nsympy.sympify('(' * 300 + 'x' + ')' * 300 + '**2' * 10000)",
    "satisfiability": "import sympy as s\nfrom sympy.logic.inference import satisfiable\nv = s.symbols('a:200')\nsatisfiable(s.Xor(*v) & ~s.Xor(*v))",
}, spins=True)  # fmt: skip

ATTACKS = (*_EVAL, *_ENDLESS)

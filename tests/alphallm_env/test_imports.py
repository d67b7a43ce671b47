import ast
import graphlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

FORBIDDEN = {"alphallm_env": {"agents", "experiments"}, "agents": {"experiments"}}
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "datasets",
    "stable_baselines3",
    "sympy",
    "matplotlib",
    "reasoning_gym",
)


def imported_packages(path: Path) -> set[str]:
    """Returns the top-level names that a file imports anywhere, also for its types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_down_only(root, package):
    files = list((root / package).rglob("*.py"))
    assert files
    wrong = {str(p.relative_to(root)): found for p in files if (found := imported_packages(p) & FORBIDDEN[package])}
    assert not wrong


# From the bottom up. A module may import from its own layer and from those above it in this list, lazily or not.
LAYERS = (
    "errors", "frozen", "types", "registry", "runtime", "sandbox", "grading", "problems", "mdp", "lm", "critics",
    "simulator", "training", "loading", "envs", "registration", "adapters", "testing", "__init__",
)  # fmt: skip


def layer_of(module: str) -> str:
    """Returns the layer of a module of the core, given by its dotted name."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__"


def imported_modules(path: Path) -> set[str]:
    """Returns the dotted names that a file imports anywhere, also for its types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "alphallm_env":
            names |= {f"alphallm_env.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return names


def test_no_layer_of_the_core_imports_one_above_it(root):
    wrong = []
    for path in (root / "alphallm_env").rglob("*.py"):
        own = layer_of(".".join(path.relative_to(root).with_suffix("").parts))
        for name in imported_modules(path):
            if name.split(".")[0] == "alphallm_env" and LAYERS.index(layer_of(name)) > LAYERS.index(own):
                wrong.append(f"{path.relative_to(root)} imports {name}")
    assert not wrong, "\n".join(sorted(wrong))


PACKAGES = ("alphallm_env", "agents", "experiments")


def statements_of(tree: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    """Yields what runs when a module is imported, and with `lazy` what its functions run later too; no types."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        if lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from statements_of(node, lazy)


def import_graph(root: Path, lazy: bool) -> dict[str, set[str]]:
    """Returns for each module of the three packages those that it imports."""
    paths = {
        ".".join(p.relative_to(root).with_suffix("").parts): p for name in PACKAGES for p in (root / name).rglob("*.py")
    }
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        found = graph.setdefault(name, set())
        for node in statements_of(ast.parse(path.read_text(encoding="utf-8")), lazy):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in paths else node.module for name in full}
        found &= set(paths)
    return graph


@pytest.mark.parametrize("lazy", [False, True], ids=["when imported", "also when called"])
def test_no_module_imports_itself_on_a_way_round(root, lazy):
    graph = import_graph(root, lazy)
    assert len(graph) > 100
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_tests_of_the_core_import_nothing_above_it(root):
    files = list((root / "tests" / "alphallm_env").rglob("*.py"))
    assert files
    wrong = {
        str(p.relative_to(root)): found for p in files if (found := imported_packages(p) & FORBIDDEN["alphallm_env"])
    }
    assert not wrong


MOST_MODULES, MOST_LINES = 15, 400  # in a folder, in a file


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_and_files_stay_small(root, package):
    files = list((root / package).rglob("*.py"))
    long = {str(p.relative_to(root)): n for p in files if (n := len(p.read_text().splitlines())) > MOST_LINES}
    assert not long
    modules = Counter(p.parent for p in files if p.name != "__init__.py")
    assert not {str(folder.relative_to(root)): n for folder, n in modules.items() if n > MOST_MODULES}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_says_what_it_offers(root, package):
    folders = {p.parent for p in (root / package).rglob("*.py")}
    assert folders
    silent = [str(f) for f in folders if not ast.get_docstring(ast.parse((f / "__init__.py").read_text()))]
    assert not silent


def loaded_by(statements: str, root: Path) -> set[str]:
    program = f"import sys; {statements}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=root)
    return set(found.stdout.split())


def test_importing_the_package_loads_no_model_library(root):
    assert loaded_by("import alphallm_env", root) == set()


@pytest.mark.parametrize("module", ["agents", "alphallm_env.testing"])
def test_neither_do_planners_and_contracts(root, module):
    assert not loaded_by(f"import {module}", root) & {"torch", "transformers"}


def test_an_episode_with_the_verifier_loads_no_model_library(root):
    episode = (
        "import gymnasium as gym;"
        "env = gym.make('alphallm_env:AlphaLLM/GSMSymbolic-v1', reward='verifier', limit=3);"
        "env.reset(seed=0); env.step('#### 5\\n'); env.render()"
    )
    assert not loaded_by(episode, root) & {"torch", "transformers", "trl", "datasets"}

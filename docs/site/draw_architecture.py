"""Draws docs/architecture.svg from the imports of the three packages, and prints what it measures.

make picture

A box is a folder (or a few modules beside the folders), an arrow says that it imports the other. Only the arrows that
no way of other arrows implies are drawn; an import against the layers is red. All imports count: those inside
functions and those for types too.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGES = ("experiments", "agents", "alphallm_env")  # from top to bottom
LAYERS_FILE = ROOT / "tests" / "alphallm_env" / "test_imports.py"  # holds the core's layers, LAYERS
TOGETHER = {
    "errors": "types",
    "frozen": "types",
    "registry": "types",
    "registration": "__init__",
}  # modules that share a box
TITLES = {
    "experiments": "commands", "alphallm_env/types": "types, errors, registry",
    "alphallm_env/__init__": "__init__, registration",
}  # fmt: skip
COLOURS = {"experiments": "#fdf0e1", "agents": "#e8f1e4", "alphallm_env": "#e6eef8"}

Edge = tuple[str, str]


# What there is.


def read_modules() -> dict[str, Path]:
    """Returns the files of all modules by their dotted names."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """Yields the modules of ours that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if found := next((name for name in (inner, node.module) if name in modules), None):
                    yield found


def box_of(path: Path) -> str:
    """Returns the box that a file belongs to: `agents`, `experiments`, `experiments/runs`, `alphallm_env/lm`."""
    package, *rest = path.relative_to(ROOT).with_suffix("").parts
    if package == "agents" or (package == "experiments" and len(rest) == 1):
        return package
    return f"{package}/{TOGETHER.get(rest[0], rest[0])}"


def read_layers() -> list[str]:
    """Returns the core's layers from the bottom up, as the tests hold them."""
    for node in ast.parse(LAYERS_FILE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS":
            return list(ast.literal_eval(node.value))
    raise ValueError(f"expected LAYERS in {LAYERS_FILE}")


def ranks(boxes: Sequence[str]) -> dict[str, int]:
    """Returns how high each box may stand: an import from a lower to a higher rank is one upward."""
    layers = [TOGETHER.get(layer, layer) for layer in read_layers()]

    def height(box: str) -> tuple[int, int]:
        package, _, inner = box.partition("/")
        if package == "alphallm_env":
            order = max((i for i, layer in enumerate(layers) if layer == inner), default=len(layers))
        else:
            order = {"": 2, "runs": 0}.get(inner, 1)  # commands, their groups, what they share
        return -PACKAGES.index(package), order

    heights = sorted({height(box) for box in boxes})
    return {box: heights.index(height(box)) for box in boxes}


def cycles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Returns the groups of modules that import one another in a circle."""
    reach = {module: reachable(graph, module) for module in graph}
    groups = [{b for b in reach[a] if a in reach[b]} for a in graph if a in reach[a]]
    return [group for i, group in enumerate(groups) if group not in groups[:i]]


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Returns what one or more arrows lead to."""
    seen: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            ahead += graph[here]
    return seen


@dataclass(frozen=True)
class Architecture:
    """Boxes with their numbers of modules and lines, arrows between them, and what is measured."""

    sizes: dict[str, tuple[int, int]]
    arrows: set[Edge]
    upward: Counter[Edge]
    num_cycles: int
    largest_folder: tuple[int, str]
    largest_file: tuple[int, str]


def read_architecture() -> Architecture:
    """Returns what the imports say."""
    modules = read_modules()
    graph = {name: set(imports_of(path, modules)) - {name} for name, path in modules.items()}
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules.values()}
    files = {box: [p for p in lines if box_of(p) == box] for box in dict.fromkeys(map(box_of, lines))}
    rank = ranks(list(files))
    edges = Counter((box_of(modules[a]), box_of(modules[b])) for a in graph for b in graph[a])
    edges = Counter({(a, b): n for (a, b), n in edges.items() if a != b})
    upward = Counter({(a, b): n for (a, b), n in edges.items() if rank[a] < rank[b]})
    folders = Counter(p.parent.relative_to(ROOT) for p in lines if p.name != "__init__.py")
    return Architecture(
        sizes={box: (len(paths), sum(lines[p] for p in paths)) for box, paths in files.items()},
        arrows=necessary({edge for edge in edges if edge not in upward}, list(files)),
        upward=upward,
        num_cycles=len(cycles(graph)),
        largest_folder=max((n, str(folder)) for folder, n in folders.items()),
        largest_file=max((n, str(path.relative_to(ROOT))) for path, n in lines.items()),
    )


def necessary(edges: set[Edge], boxes: Sequence[str]) -> set[Edge]:
    """Returns the arrows that no longer way implies."""
    graph = {box: {b for a, b in edges if a == box} for box in boxes}
    return {
        (a, b)
        for a, b in edges
        if not any(b in reachable(graph, other) and a not in reachable(graph, other) for other in graph[a] - {b})
    }


# Where it goes.

BOX, GAP, ROW, LANE, MARGIN, BAND = (184, 52), 22, 86, 8, 24, 28  # sizes in pixels


def rows_of(architecture: Architecture) -> list[list[str]]:
    """Returns the boxes in rows from top to bottom, every package below the one before."""
    below = {box: [b for a, b in architecture.arrows if a == box] for box in architecture.sizes}
    rows: list[list[str]] = []
    for package in PACKAGES:
        own = [box for box in architecture.sizes if box.partition("/")[0] == package]
        depth: dict[str, int] = {}

        def measure(box: str, above: tuple[str, ...], own: list[str] = own, depth: dict[str, int] = depth) -> int:
            if box not in depth:
                inner = [b for b in below[box] if b in own and b not in (*above, box)]
                depth[box] = 1 + max((measure(b, (*above, box)) for b in inner), default=-1)
            return depth[box]

        for box in sorted(own):
            measure(box, ())
        rows += [sorted(b for b in own if depth[b] == level) for level in range(max(depth.values()), -1, -1)]
    return rows


def with_lanes(rows: list[list[str]], arrows: set[Edge]) -> tuple[list[list[str]], dict[Edge, list[str]]]:
    """Returns the rows with a lane in every row that an arrow passes, and the way of each arrow through them."""
    row_of = {box: i for i, row in enumerate(rows) for box in row}
    rows, ways = [list(row) for row in rows], dict[Edge, list[str]]()
    for a, b in sorted(arrows):
        lanes = [f"{a}>{b}@{i}" for i in range(row_of[a] + 1, row_of[b])]
        for i, lane in enumerate(lanes, row_of[a] + 1):
            rows[i].append(lane)
        ways[a, b] = [a, *lanes, b]
    return rows, ways


def ordered(rows: list[list[str]], ways: Mapping[Edge, list[str]]) -> list[list[str]]:
    """Returns each row in the order, of those found by sweeps of the barycentre rule, with the fewest crossings."""
    pairs = pairs_of(ways)
    best = rows
    for sweep in range(40):
        down = sweep % 2 == 0
        around: dict[str, list[str]] = {}
        for a, b in pairs:
            around.setdefault(b if down else a, []).append(a if down else b)
        rows = [list(row) for row in rows]
        indices = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for i in indices:
            beside = rows[i - 1 if down else i + 1]
            place = {name: (n + 0.5) / len(beside) for n, name in enumerate(beside)}
            rows[i].sort(key=barycentre(rows[i], around, place))
        if crossings(rows, pairs) < crossings(best, pairs):
            best = rows
    return best


def pairs_of(ways: Mapping[Edge, list[str]]) -> list[Edge]:
    """Returns the steps from row to row that all ways consist of."""
    return [pair for way in ways.values() for pair in pairwise(way)]


def barycentre(
    row: Sequence[str], around: Mapping[str, list[str]], place: Mapping[str, float]
) -> Callable[[str], float]:
    """Returns the key that sorts a row by the mean place of each one's neighbours; those without stay."""
    own = {name: (n + 0.5) / len(row) for n, name in enumerate(row)}

    def key(name: str) -> float:
        found = [place[other] for other in around.get(name, []) if other in place]
        return sum(found) / len(found) if found else own[name]

    return key


def crossings(rows: Sequence[Sequence[str]], pairs: Sequence[Edge]) -> int:
    """Returns how many pairs of arrows cross between two rows."""
    place = {name: (i, n) for i, row in enumerate(rows) for n, name in enumerate(row)}
    spans = [(place[a][0], place[a][1], place[b][1]) for a, b in pairs]
    return sum(
        i == j and (a - c) * (b - d) < 0
        for n, (i, a, b) in enumerate(spans) for j, c, d in spans[n + 1 :]
    )  # fmt: skip


def centres(rows: Sequence[Sequence[str]], pairs: Sequence[Edge]) -> tuple[dict[str, tuple[float, float]], float]:
    """Returns the middle of every box and lane, and the width of the picture.

    What is joined is drawn together, and all of it to the middle.
    """
    beside: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for a, b in pairs:
        weight = 1 + 3 * ("@" in a) + 3 * ("@" in b)  # a lane is to be straight
        beside[a] += [b] * weight
        beside[b] += [a] * weight
    x = {name: float(offset) for row in rows for name, offset in zip(row, packed(row, [0.0] * len(row)), strict=True)}
    for _ in range(60):
        for row in (*rows, *reversed(rows)):
            wished = [sum(x[other] for other in beside[name]) / (len(beside[name]) + 1) for name in row]
            x.update(zip(row, packed(row, wished), strict=True))
    left = min(x[name] - width_of(name) / 2 for name in x) - MARGIN - BAND
    width = max(x[name] + width_of(name) / 2 for name in x) + MARGIN - left
    middle = {name: MARGIN + BOX[1] / 2 + i * ROW for i, row in enumerate(rows) for name in row}
    return {name: (x[name] - left, middle[name]) for name in x}, width


def width_of(name: str) -> int:
    """Returns the width of a box or lane."""
    return LANE if "@" in name else BOX[0]


def packed(row: Sequence[str], wished: Sequence[float]) -> list[float]:
    """Returns places near the wished ones, in the row's order and with the gap between any two.

    Each is the mean of what comes of pushing to the right only and to the left only, which keeps the gaps.
    """
    apart = [(width_of(a) + width_of(b)) / 2 + GAP for a, b in pairwise(row)]
    right, left = list(wished), list(wished)
    for i, gap in enumerate(apart):
        right[i + 1] = max(right[i + 1], right[i] + gap)
    for i in range(len(apart) - 1, -1, -1):
        left[i] = min(left[i], left[i + 1] - apart[i])
    return [(a + b) / 2 for a, b in zip(left, right, strict=True)]


# How it looks.


def box_svg(box: str, size: tuple[int, int], x: float, y: float) -> str:
    """Returns a box with its name and what it holds."""
    modules = f"{size[0]} module{'s' if size[0] > 1 else ''} · {size[1]:,} lines"
    title = TITLES.get(box, box.partition("/")[2] or box)
    return (
        f'<rect x="{x - BOX[0] / 2:.0f}" y="{y - BOX[1] / 2:.0f}" width="{BOX[0]}" height="{BOX[1]}" rx="7" '
        f'fill="#ffffff" stroke="#44546a" stroke-width="1.2"/>\n'
        f'<text x="{x:.0f}" y="{y - 4:.0f}" class="name">{title}</text>\n'
        f'<text x="{x:.0f}" y="{y + 15:.0f}" class="size">{modules}</text>'
    )


def arrow_svg(way: Sequence[tuple[float, float]], upward: bool = False) -> str:
    """Returns an arrow that leaves a box below its middle and comes to the next from above, by way of the lanes."""
    (x, y), *rest = way
    path = f"M{x:.0f} {y + BOX[1] / 2:.0f}"
    y += BOX[1] / 2
    for n, (to_x, to_y) in enumerate(rest):
        end = to_y - BOX[1] / 2 - (7 if n == len(rest) - 1 else 0)
        middle = (y + end) / 2
        path += f" C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {end:.0f}"
        if n < len(rest) - 1:
            path += f" L{to_x:.0f} {to_y + BOX[1] / 2:.0f}"
        x, y = to_x, to_y + BOX[1] / 2
    return f'<path d="{path}" class="{"upward" if upward else "arrow"}"/>'


STYLE = """<style>
text { font-family: Helvetica, Arial, sans-serif; text-anchor: middle; fill: #1f2a38 }
.name { font-size: 14px; font-weight: bold }
.size { font-size: 11px; fill: #5b6776 }
.band { font-size: 13px; fill: #5b6776; letter-spacing: 1px }
.arrow { fill: none; stroke: #7a8899; stroke-width: 1.4; marker-end: url(#head) }
.upward { fill: none; stroke: #c0392b; stroke-width: 2; marker-end: url(#head) }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#7a8899"/></marker></defs>"""


def draw(architecture: Architecture) -> str:
    """Returns the picture."""
    plain = rows_of(architecture)
    rows, ways = with_lanes(plain, architecture.arrows)
    rows = ordered(rows, ways)
    centre, width = centres(rows, pairs_of(ways))
    height = MARGIN * 2 + (len(rows) - 1) * ROW + BOX[1]
    parts = [f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>']
    for package in PACKAGES:
        own = [i for i, row in enumerate(plain) if row[0].partition("/")[0] == package]
        top = MARGIN + own[0] * ROW - (ROW - BOX[1]) / 2 + 2
        bottom = MARGIN + own[-1] * ROW + BOX[1] + (ROW - BOX[1]) / 2 - 2
        middle = (top + bottom) / 2
        parts.append(
            f'<rect x="4" y="{top:.0f}" width="{width - 8:.0f}" height="{bottom - top:.0f}" rx="10" '
            f'fill="{COLOURS[package]}"/>\n'
            f'<text x="20" y="{middle:.0f}" transform="rotate(-90 20 {middle:.0f})" class="band">{package}</text>'
        )
    parts += [arrow_svg([centre[name] for name in way]) for _, way in sorted(ways.items())]
    parts += [arrow_svg([centre[a], centre[b]], upward=True) for a, b in sorted(architecture.upward)]
    parts += [box_svg(box, architecture.sizes[box], *centre[box]) for row in plain for box in row]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" role="img" aria-label="Folders and what they import">\n{STYLE}\n{body}\n</svg>\n'
    )


def main() -> None:
    """Writes the picture and prints what the tests bound."""
    found = read_architecture()
    PICTURE.write_text(draw(found), encoding="utf-8")
    modules, lines = (sum(size[i] for size in found.sizes.values()) for i in (0, 1))
    print(f"{PICTURE.relative_to(ROOT)}: {len(found.sizes)} boxes, {len(found.arrows)} arrows")
    print(f"modules {modules}, lines {lines}")
    print(f"largest folder: {found.largest_folder[1]}, {found.largest_folder[0]} modules")
    print(f"largest file: {found.largest_file[1]}, {found.largest_file[0]} lines")
    print(f"import cycles: {found.num_cycles}")
    print(f"upward imports: {found.upward.total()}")
    for (a, b), n in sorted(found.upward.items()):
        print(f"  {a} imports {b}: {n}")


if __name__ == "__main__":
    main()

"""The map of the code, made from the code: every file with the first sentence of its docstring, in reading order.

Reading order is the order of imports: what a file stands on comes before it. The same order holds between folders, of
which none imports in a circle.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SENTENCE = re.compile(r"(?<=[.!?])\s(?=[A-Z`])")
PACKAGES = ("harness", "locustfiles", "analysis", "dashboard")
_INTRO = """# Map

Every file, in reading order: what a file stands on comes before it. The flow is plan -> run -> samples -> metrics ->
comparison -> report. The files at the top of `harness` and `analysis` are its stations; a folder holds the parts of one
or two of them. No folder imports in a circle, and `tests/test_architecture.py` keeps it so.
"""


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def modules() -> Mapping[str, Path]:
    """Every module of the project by its dotted name."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {_name(path): path for path in sorted(paths)}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= modules().keys() else names | {node.module}
    return found


def folder_of(module: str) -> str:
    """The folder of a module, or the module itself where it stands at the top of its package."""
    return ".".join(module.split(".")[:2])


@functools.cache
def graph() -> Mapping[str, frozenset[str]]:
    """Module -> modules of the project that it imports."""
    return {name: frozenset(imported(path) & modules().keys() - {name}) for name, path in modules().items()}


def folders() -> Mapping[str, frozenset[str]]:
    """The same between folders: folder, or file at the top of a package, -> those that it imports."""
    found: dict[str, set[str]] = {}
    for module, others in graph().items():
        mine = found.setdefault(folder_of(module), set())
        mine |= {folder_of(other) for other in others} - {folder_of(module)}
    return {name: frozenset(others) for name, others in found.items()}


def depths_of(imports: Mapping[str, frozenset[str]]) -> Mapping[str, int]:
    """How many steps each stands above what imports nothing. Raises graphlib.CycleError: imports go in a circle."""
    depths: dict[str, int] = {}
    for name in TopologicalSorter(imports).static_order():
        depths[name] = 1 + max((depths[other] for other in imports[name]), default=-1)
    return depths


def _line(module: str) -> str:
    path = modules()[module]
    said = ast.get_docstring(_tree(path)) or ""
    first = _SENTENCE.split(" ".join(said.split()), maxsplit=1)[0]
    return f"`{path.relative_to(ROOT)}`: {first}"


def _ordered(names: Iterable[str], depths: Mapping[str, int]) -> list[str]:
    return sorted(names, key=lambda name: (depths[name], name))


def _section(title: str, about: str, names: Iterable[str], depths: Mapping[str, int]) -> str:
    """A heading, what the whole is, and a line for each of its files in the order of imports."""
    ordered = _ordered((name for name in names if name != about), depths)
    return f"{title}\n\n{_line(about)}\n\n" + "\n".join(f"- {_line(name)}" for name in ordered) + "\n"


def code_map() -> str:
    """The text of `docs/map.md`."""
    parts, depths, depths_of_folders = [_INTRO], depths_of(graph()), depths_of(folders())
    for package in PACKAGES:
        mine = [name for name in modules() if name.split(".")[0] == package]
        inside = {folder_of(name) for name in mine if name.count(".") > 1}
        top = (name for name in mine if folder_of(name) not in inside)
        parts.append(_section(f"## {package}", package, top, depths))
        for folder in _ordered(inside, depths_of_folders):
            title = f"### {folder.replace('.', '/')}"
            parts.append(_section(title, folder, (name for name in mine if folder_of(name) == folder), depths))
    return "\n".join(parts)

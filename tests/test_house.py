"""The walls of the house: who imports whom, how large things may grow, what importing costs."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import symtable
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from napari_medseg.inference import SegmentOptions
from napari_medseg.training import TrainOptions
from napari_medseg.training.candidates import CompareOptions

PROJECT = Path(__file__).parents[1]
SOURCE = PROJECT / "src" / "napari_medseg"
FILES = sorted(SOURCE.rglob("*.py"))
TOOLS = sorted(path for folder in ("scripts", "benchmarks") for path in (PROJECT / folder).glob("*.py"))
QT = ("qtpy", "napari", "magicgui", "PyQt6", "PySide6", "superqt", "pyqtgraph")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


def test_imports_point_inwards() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300, "split it by meaning"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
            arguments = [a for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
            assert statements <= 50, f"{node.name} has {statements} statements"
            assert len(arguments) + len(node.args.kwonlyargs) <= 6, f"{node.name} has too many arguments"


def test_only_widgets_know_qt() -> None:
    outside = {str(p.relative_to(SOURCE)) for p in FILES if "widgets" not in p.parts and {*imports(p)} & {*QT}}
    assert not outside


@pytest.mark.parametrize("part", ["core", "io", "evaluation", "editing"])
def test_inner_parts_know_no_torch(part: str) -> None:
    assert not {str(p) for p in (SOURCE / part).rglob("*.py") if "torch" in {*imports(p)}}


@pytest.mark.parametrize("name", ["napari_medseg", "napari_medseg.phantoms"])
def test_importing_loads_neither_torch_nor_qt(name: str) -> None:
    code = f"import sys, {name}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "qtpy", "napari"} if "." in name else {"torch", "qtpy", "napari", "numpy", "pydantic"}
    assert not heavy & {*loaded}


def is_there(folder: Path, module: str, name: str) -> bool:
    """Whether a module under a folder, which nothing is run of, has such a name."""
    place = folder.joinpath(*module.split("."))
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if (place / name).is_dir() or (place / f"{name}.py").is_file():
        return True
    if not path.is_file():
        return False
    table = symtable.symtable(path.read_text(), str(path), "exec")
    return any(one.get_name() == name and (one.is_assigned() or one.is_imported()) for one in table.get_symbols())


@pytest.mark.parametrize("path", TOOLS, ids=lambda p: str(p.relative_to(PROJECT)))
def test_scripts_import_what_is_there(path: Path) -> None:
    asked = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]
    home = {tool.stem: path.parent for tool in TOOLS if tool.parent == path.parent} | {"napari_medseg": SOURCE.parent}
    known = [(home[top], *one) for one in asked if (top := one[0].split(".")[0]) in home]
    assert not [one[1:] for one in known if not is_there(*one)]


def test_public_names_are_there() -> None:
    code = "import napari_medseg as m; print(all(callable(getattr(m, n)) for n in m.__all__ if n != '__version__'))"
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout == (
        "True\n"
    )


def test_lists_of_options_are_marks_on_their_fields() -> None:
    """Else a new option, or one that gets another name, is forgotten in one of them."""
    kinds = [{*kind.model_fields} for kind in (SegmentOptions, TrainOptions, CompareOptions)]
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) > 1:
                names = tuple(one.value for one in node.elts if isinstance(one, ast.Constant))
                if len(names) == len(node.elts) and any({*names} <= kind for kind in kinds):
                    found.add((str(path.relative_to(SOURCE)), names))
    assert found == {
        ("inference/segment.py", ("precision", "tile", "batch")),  # those that a run settles by itself
        ("inference/segment.py", ("precision", "tile")),
        ("training/log.py", ("loss", "learning_rate")),  # figures of the same names
    }


OWN_ERRORS = {"InputError", "ModelError", "OutputError", "ComputeError"}


def raised(nodes: Iterable[ast.AST]) -> set[str]:
    """Errors of the project that statements raise, but for those that they catch and those of functions in them."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            found |= {node.exc.func.id} & OWN_ERRORS
        elif isinstance(node, ast.Try):
            caught = {n.id for h in node.handlers if h.type for n in ast.walk(h.type) if isinstance(n, ast.Name)}
            found |= raised(node.body) - caught | raised([*node.handlers, *node.orelse, *node.finalbody])
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            found |= raised(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_functions_say_which_errors_they_raise(path: Path) -> None:
    if "cli" in path.parts:
        return  # there the text is the help of a command
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and (told := ast.get_docstring(node)):
            assert not {name for name in raised(node.body) if name not in told}, f"{node.name} says nothing of it"


@pytest.mark.parametrize("part", ["core", "io", "models", "training", "inference", "evaluation"])
def test_what_a_package_offers_is_explained(part: str) -> None:
    package = importlib.import_module(f"napari_medseg.{part}")
    offered = {name: getattr(package, name) for name in package.__all__}
    own = {name: one for name, one in offered.items() if getattr(one, "__module__", "").startswith("napari_medseg")}
    assert own
    assert [name for name, one in own.items() if callable(one) and not one.__doc__] == []


def test_every_finding_is_explained() -> None:
    """People meet codes in reports and look them up."""
    told = (PROJECT / "docs" / "files.md").read_text()
    codes = {
        node.args[0].value
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding" and node.args
        if isinstance(node.args[0], ast.Constant)
    }
    assert len(codes) > 50
    assert sorted(code for code in codes if f"`{code}`" not in told) == []

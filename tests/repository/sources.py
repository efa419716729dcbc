"""The Python files of a checkout, as the rules of tidiness read them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(root: Path, folder: str) -> list[Path]:
    """Return every Python file below a folder of a checkout, in the order of their names."""
    return sorted((root / folder).rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(), str(path))


def module_name(path: Path, root: Path) -> str:
    """Return under which name a file is imported; a package's `__init__.py` is the package."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, Function]]:
    """Yield every function with its name, which begins with the names of what it stands in."""
    for node in ast.iter_child_nodes(tree):
        name = owner
        if isinstance(node, Function | ast.ClassDef):
            name = f"{owner}.{node.name}".lstrip(".")
        if isinstance(node, Function):
            yield name, node
        yield from functions(node, name)


def body_lines(function: Function) -> int:
    """Return how many lines a function has, signature and docstring not counted."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.body[-1].end_lineno - _first_line(body[0]) + 1 if body else 0  # type: ignore[operator]


def _first_line(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def imported(tree: ast.AST) -> set[str]:
    """Return the name of every module that is imported, and of whatever is imported from one."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def texts(tree: ast.AST) -> set[str]:
    """Return every string of a file but its docstrings and comments."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
    }


def defined(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a file gives: to a function, a class, an argument, a variable or an import."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.alias(asname=str(name)):
                yield name
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr

"""The rules of tidiness. Each takes the root of a checkout, and returns a line for whatever breaks it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.repository import sources

# Sizes


def long_modules(root: Path, folder: str, limit: int, exceptions: Mapping[str, str]) -> list[str]:
    """Return the modules of more than so many lines that are no exception, and the exceptions that are none.

    Args:
        root: of the checkout.
        folder: whose modules are looked at.
        limit: how many lines a module may have.
        exceptions: why a module may have more, by its path.
    """
    lines = {
        str(path.relative_to(root)): len(path.read_text().splitlines()) for path in sources.python_files(root, folder)
    }
    return _judge_sizes(lines, limit, exceptions)


def long_functions(root: Path, folder: str, limit: int, exceptions: Mapping[str, str]) -> list[str]:
    """Do as `long_modules` for the functions, each named by the path of its module, a colon and its name."""
    lines = {
        f"{path.relative_to(root)}:{name}": sources.body_lines(function)
        for path in sources.python_files(root, folder)
        for name, function in sources.functions(sources.parse(path))
    }
    return _judge_sizes(lines, limit, exceptions)


def _judge_sizes(lines: Mapping[str, int], limit: int, exceptions: Mapping[str, str]) -> list[str]:
    long = {name: count for name, count in lines.items() if count > limit}
    return [
        *(f"{name} has {count} lines, and {limit} at most" for name, count in long.items() if name not in exceptions),
        *(f"{name} is no exception any more" for name in exceptions if name not in long),
    ]


# Dead files


def unused_modules(root: Path, entries: Mapping[str, str]) -> list[str]:
    """Return the modules that nothing needs: those of the package that neither it nor a notebook imports, and those
    of the tests' support that no test imports.

    Args:
        root: of the checkout.
        entries: what starts a module that nothing imports, by the module's name.
    """
    package, tests = sources.python_files(root, "beefirst"), sources.python_files(root, "tests")
    support = sources.python_files(root, "tests/support")
    notebooks = _text_of(sorted((root / "notebooks").glob("*.ipynb")))
    idle = _not_imported(root, package, package, notebooks) + _not_imported(root, support, tests, "")
    return [
        *(f"nothing imports {name}" for name in idle if name not in entries),
        *(f"{name} is imported, and no entry" for name in entries if name not in idle),
    ]


def _not_imported(root: Path, files: Iterable[Path], by: Iterable[Path], notebooks: str) -> list[str]:
    importers = {path: sources.imported(sources.parse(path)) for path in by}
    names = {path: sources.module_name(path, root) for path in files if path.name != "__init__.py"}
    return [
        name
        for path, name in names.items()
        if not any(name in found for importer, found in importers.items() if importer != path)
        and not _is_imported_in(notebooks, name)
    ]


def _is_imported_in(notebooks: str, name: str) -> bool:
    package, _, module = name.rpartition(".")
    return bool(
        re.search(rf"from {re.escape(name)} import", notebooks)
        or re.search(rf"from {re.escape(package)} import [\w, ]*\b{module}\b", notebooks)
    )


def unused_pictures(root: Path) -> list[str]:
    """Return the pictures that neither the README nor a notebook shows."""
    shown = _text_of([root / "README.md", *sorted((root / "notebooks").glob("*.ipynb"))])
    pictures = sorted((root / "notebooks" / "pictures").iterdir())
    return [f"nothing shows {path.relative_to(root)}" for path in pictures if path.name not in shown]


def unused_data_files(root: Path, loaded_by_others: Mapping[str, str]) -> list[str]:
    """Return the files beside the package's modules that no module names.

    Args:
        root: of the checkout.
        loaded_by_others: what loads a file that no module names, by the file's name.
    """
    named = set().union(*(sources.texts(sources.parse(path)) for path in sources.python_files(root, "beefirst")))
    data = [path for path in (root / "beefirst").rglob("*.*") if path.suffix not in (".py", ".pyc", ".pyi")]
    idle = [path for path in data if not any(path.name in text for text in named)]
    return [
        *(f"nothing loads {path.relative_to(root)}" for path in idle if path.name not in loaded_by_others),
        *(f"there is no {name}" for name in loaded_by_others if name not in {path.name for path in idle}),
    ]


def _text_of(paths: Iterable[Path]) -> str:
    return "\n".join(path.read_text() for path in paths)


# Names


def banned_names(root: Path, banned: Mapping[str, str]) -> list[str]:
    """Return the names that are, or hold, a word that says too little.

    Args:
        root: of the checkout.
        banned: what to say rather, by the word.
    """
    return [
        f"{path.relative_to(root)} says {name}: {banned[word]}"
        for folder in ("beefirst", "tests")
        for path in sources.python_files(root, folder)
        for name in sorted({path.stem, *sources.defined(sources.parse(path))})
        for word in _words(name)
        if word in banned
    ]


def _words(name: str) -> list[str]:
    """Return the words of a name; a test's is a sentence, in which every word has its place."""
    if name.startswith("test_"):
        return []
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")

"""What the repository promises about itself."""

import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from beefirst.database.migration_files import FILE_NAME, read_migrations
from beefirst.machine.folders import CHECKOUT, MIGRATIONS

PINS = (CHECKOUT / "requirements.txt").read_text().splitlines()


def pinned() -> dict[str, list[Requirement]]:
    pins: dict[str, list[Requirement]] = {}
    for line in PINS:
        if line and not line.startswith(("#", "-e")):
            requirement = Requirement(line)
            pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


def declared() -> list[Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_every_declared_package_is_pinned_to_a_version_that_it_allows(requirement: Requirement) -> None:
    pins = pinned()[canonicalize_name(requirement.name)]
    versions = [specifier.version for pin in pins for specifier in pin.specifier]

    assert versions
    assert all(requirement.specifier.contains(version) for version in versions)


def test_every_package_of_a_pinned_package_is_pinned_too() -> None:
    names = pinned()
    missing = [
        (name, need.name)
        for name in names
        for need in map(Requirement, installed_needs(name))
        if (need.marker is None or need.marker.evaluate({"extra": ""})) and canonicalize_name(need.name) not in names
    ]

    assert missing == []


def installed_needs(name: str) -> list[str]:
    try:
        return requires(name) or []
    except ModuleNotFoundError:  # a pin for another system
        return []


def test_requirements_install_the_checkout_itself() -> None:
    assert "-e ." in PINS


def test_migrations_are_named_and_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in MIGRATIONS.iterdir())

    assert [name for name in names if not FILE_NAME.fullmatch(name)] == []
    assert [migration.version for migration in read_migrations(MIGRATIONS)] == list(range(1, len(names) + 1))


def test_the_top_level_holds_what_it_should_and_nothing_else() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60)
    top = {path.split("/")[0] for path in tracked.stdout.splitlines()}

    named = "notebooks beefirst migrations docker-compose.yml Dockerfile Dockerfile.notebook requirements.txt README.md"
    assert set(named.split()) <= top
    assert {name for name in top if not name.startswith(".")} - set(named.split()) == {
        "LICENSE",
        "pyproject.toml",
        "tests",
    }


IMPORT_ALL = """
import importlib, os, pkgutil, threading
import beefirst
from beefirst.jupyter.fast_import import skip_iri_grammar
skip_iri_grammar()
for module in pkgutil.walk_packages(beefirst.__path__, "beefirst."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
opened = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd")]
print([where for where in opened if "socket:" in where])
print(threading.active_count())
"""


def test_importing_every_module_opens_no_connection_starts_no_thread_and_writes_nothing(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["[]", "1"]
    assert list(tmp_path.iterdir()) == []

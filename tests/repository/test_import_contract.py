"""The import contract names every room and every module, so that no new one stands outside it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from beefirst.machine.folders import CHECKOUT
from tests.repository import sources

START = {"__main__", "cli", "up"}
"""What only starts the rooms, and imports each when it is asked for."""


def contracts(text: str) -> list[dict[str, Any]]:
    return list(tomllib.loads(text)["tool"]["importlinter"]["contracts"])


def unnamed(root: Path) -> list[str]:
    """Return what no layer names of the package below `root`, going by its `pyproject.toml`."""
    rooms = {
        container: contract
        for contract in contracts((root / "pyproject.toml").read_text())
        if contract["type"] == "layers" and contract.get("exhaustive")
        for container in contract["containers"]
    }
    return [module for module in _modules(root) if module.rpartition(".")[2] not in _named(rooms, module)]


def _modules(root: Path) -> list[str]:
    names = [sources.module_name(path, root) for path in sources.python_files(root, "beefirst")]
    return [name for name in names if name != "beefirst"]


def _named(rooms: dict[str, dict[str, Any]], module: str) -> set[str]:
    contract = rooms.get(module.rpartition(".")[0], {})
    return set(re.findall(r"\w+", " ".join(contract.get("layers", ())))) | set(contract.get("exhaustive_ignores", ()))


def test_a_layer_names_every_module() -> None:
    assert unnamed(CHECKOUT) == []


SAMPLE = """
[[tool.importlinter.contracts]]
name = "Arrows point one way"
type = "layers"
exhaustive = true
containers = ["beefirst"]
exhaustive_ignores = ["__main__"]
layers = ["cli", "api | mail", "(errors)"]

[[tool.importlinter.contracts]]
name = "Arrows point one way within api"
type = "layers"
exhaustive = true
containers = ["beefirst.api"]
layers = ["main"]
"""
FILES = ["__init__.py", "__main__.py", "cli.py", "errors.py", "mail.py", "api/__init__.py", "api/main.py"]


def write_sample(root: Path, text: str, *more: str) -> Path:
    (root / "pyproject.toml").write_text(text)
    for name in (*FILES, *more):
        path = root / "beefirst" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_a_sample_whose_every_module_is_named_is_as_it_should_be(tmp_path: Path) -> None:
    assert unnamed(write_sample(tmp_path, SAMPLE)) == []


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        (["queue/__init__.py"], ["beefirst.queue"]),
        (["queue/__init__.py", "queue/redis.py"], ["beefirst.queue", "beefirst.queue.redis"]),
        (["ports.py"], ["beefirst.ports"]),
        (["api/main_page.py"], ["beefirst.api.main_page"]),
        (["api/v2/__init__.py", "api/v2/main.py"], ["beefirst.api.v2", "beefirst.api.v2.main"]),
    ],
)
def test_a_new_package_or_module_that_no_layer_names_is_noticed(
    more: list[str], left_out: list[str], tmp_path: Path
) -> None:
    assert unnamed(write_sample(tmp_path, SAMPLE, *more)) == left_out


def test_a_contract_that_is_not_exhaustive_names_nothing(tmp_path: Path) -> None:
    text = SAMPLE.replace('exhaustive = true\ncontainers = ["beefirst.api"]', 'containers = ["beefirst.api"]')

    assert unnamed(write_sample(tmp_path, text)) == ["beefirst.api.main"]


def test_the_rooms_that_the_service_does_without_are_those_that_its_image_leaves_out() -> None:
    removed = re.findall(r"rm -rf ((?:beefirst/\w+ ?)+)", (CHECKOUT / "Dockerfile").read_text())[0].split()
    left_out = {name.replace("/", ".") for name in removed}
    service = next(each for each in contracts((CHECKOUT / "pyproject.toml").read_text()) if "image" in each["name"])

    rooms = {module for module in _modules(CHECKOUT) if module.count(".") == 1}
    assert {name for name in service["forbidden_modules"] if name.startswith("beefirst.")} == left_out
    assert set(service["source_modules"]) == rooms - left_out - {f"beefirst.{name}" for name in START}


def test_the_contract_holds() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [linter, "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )

    assert result.stdout.partition("\nBroken contracts\n")[2] == ""
    assert result.returncode == 0, result.stderr

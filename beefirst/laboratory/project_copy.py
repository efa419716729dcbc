"""Copies of the code that differ from it, run for real to see what becomes of the difference."""

import os
import shutil
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from beefirst.errors import ProcessError
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.cleanup import Owned, new_folder
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT, MIGRATIONS
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_for

NO_PART_OF_THE_SERVICE = ("evaluation", "laboratory", "jupyter")
"""The rooms that the API's image does without, too."""


WHOLE = (
    "beefirst", "migrations", "notebooks", "tests", ".ci", ".devcontainer", ".github", ".dockerignore", ".gitignore",
    "docker-compose.yml", "Dockerfile", "Dockerfile.notebook", "LICENSE", "README.md", "pyproject.toml",
    "requirements.txt",
)  # fmt: skip
"""What a checkout holds; an image has less of it."""


class CodeCopy(Owned):
    """A copy of code, to be changed; removed with this object.

    Attributes:
        code: the folder that holds the copy of the package `beefirst`.
    """

    code: Path

    def replace(self, path: str, old: str, new: str) -> None:
        """Replace a piece of a file by another.

        Args:
            path: of the file, such as `beefirst/database/migrations.py`, or of a migration.
            old: the piece, which must be there exactly once.
            new: what stands in its place.

        Raises:
            ValueError: the file does not hold the piece, or holds it more than once.
        """
        file = self.code / path
        text = file.read_text(encoding="utf-8")
        if (found := text.count(old)) != 1:
            raise ValueError(f"{path} must hold {old!r} exactly once, but holds it {found} times")
        file.write_text(text.replace(old, new), encoding="utf-8")
        # In an image, Python runs what was compiled without a look at the file; pytest compiles beside it.
        for compiled in Path(cache_from_source(str(file))).parent.glob(f"{file.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)


class CheckoutCopy(CodeCopy):
    """A copy of all that the checkout holds, tests and notebooks included: what runs with it as PYTHONPATH runs it."""

    def __init__(self) -> None:
        with self._making() as parts:
            self.code = Path(parts.enter_context(new_folder("beefirst-checkout-")))
            if os.geteuid() == 0:  # then an embedded server runs under another account
                self.code.chmod(0o711)
            for path in (CHECKOUT / name for name in WHOLE):
                if path.is_dir():
                    shutil.copytree(path, self.code / path.name)
                elif path.exists():
                    shutil.copy2(path, self.code)


class ProjectCopy(CodeCopy):
    """A copy of the service's rooms and of its migrations, to be changed; removed with this object.

    Args:
        extra: how many harmless migrations to add after the shipped ones.

    Attributes:
        code: the folder that holds the copy of the package `beefirst`.
        migrations: the folder of the copy's migrations.
        newest: the number of the last migration.
    """

    def __init__(self, extra: int = 0) -> None:
        with self._making() as parts:
            self.code = Path(parts.enter_context(new_folder("beefirst-copy-")))
            self.migrations = self.code / "migrations"
            ignored = shutil.ignore_patterns(*NO_PART_OF_THE_SERVICE)
            shutil.copytree(CHECKOUT / "beefirst", self.code / "beefirst", ignore=ignored)
            shutil.copytree(MIGRATIONS, self.migrations)
            self.newest = len(list(self.migrations.glob("*.sql")))
            for _ in range(extra):
                self.add(f"CREATE TABLE IF NOT EXISTS extra_{self.newest + 1} (id INT)")

    def add(self, sql: str) -> Path:
        """Add a migration after the newest one."""
        self.newest += 1
        path = self.migrations / f"{self.newest:03}_extra.sql"
        path.write_text(sql)
        return path

    def file(self, number: int) -> Path:
        """Return the path of the migration with this number."""
        return next(self.migrations.glob(f"{number:03}_*.sql"))

    def start(self, database: ScratchDatabase | str, **settings: Any) -> ApiProcess:
        """Start the copy's API, without waiting for it.

        Args:
            database: on which, or its URL.
            settings: of the API, by the name that the environment uses.
        """
        url = database if isinstance(database, str) else database.url
        return ApiProcess(url, code=self.code, **settings)

    def refusal(self, database: ScratchDatabase | str) -> str:
        """Start the copy's API on a database and return the one line with which it refuses to run.

        Raises:
            ProcessError: it serves, or did not end with status 1.
        """
        with self.start(database) as api:
            wait_for(lambda: has_ended(api) or answers(f"{api.url}/health/live"), 60)
            if not has_ended(api):
                raise ProcessError("The API started where it was to refuse.")
            if (status := api.wait_for_end()) != 1:
                raise ProcessError(f"The API ended with status {status} where 1 was due.")
            return api.log().strip().removeprefix("beefirst: ").replace(f"{self.code}/", "")


def has_ended(api: ApiProcess) -> bool:
    """Tell whether a process has ended by itself."""
    with suppress(TimeoutExpired):
        api.wait_for_end(0)
        return True
    return False

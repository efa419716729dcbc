"""A copy of the service that differs from it, started for real."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from beefirst.errors import ProcessError
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.cleanup import close_with, new_folder
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT, MIGRATIONS


class ProjectCopy:
    """A copy of the package with migrations of its own, removed at the end of its `with` block.

    Args:
        extra: how many harmless migrations to add after the shipped ones.

    Attributes:
        migrations: the folder of the copy's migrations.
        newest: the number of the last migration.
    """

    def __init__(self, extra: int = 0) -> None:
        with ExitStack() as unless_made:
            self.code = Path(unless_made.enter_context(new_folder("beefirst-release-")))
            self.migrations = self.code / "migrations"
            shutil.copytree(
                CHECKOUT / "beefirst",
                self.code / "beefirst",
                ignore=shutil.ignore_patterns("evaluation", "laboratory", "jupyter"),
            )
            shutil.copytree(MIGRATIONS, self.migrations)
            self.newest = len(list(self.migrations.glob("*.sql")))
            for _ in range(extra):
                self.add(f"CREATE TABLE IF NOT EXISTS extra_{self.newest + 1} (id INT)")
            self._close = close_with(self, unless_made.pop_all().close)

    def add(self, sql: str) -> Path:
        """Add a migration after the newest one."""
        self.newest += 1
        path = self.migrations / f"{self.newest:03}_extra.sql"
        path.write_text(sql)
        return path

    def file(self, number: int) -> Path:
        """Return the path of the migration with this number."""
        return next(self.migrations.glob(f"{number:03}_*.sql"))

    def start(self, database: ScratchDatabase, **settings: Any) -> ApiProcess:
        """Start this release's API on a database, without waiting for it."""
        return ApiProcess(database.url, code=self.code, **settings)

    def refusal(self, database: ScratchDatabase) -> str:
        """Start this release on a database and return the one line with which it refuses to run.

        Raises:
            ProcessError: it did not end with status 1.
        """
        with self.start(database) as api:
            status = api.wait_for_end()
            if status != 1:
                raise ProcessError(f"The API ended with status {status} where 1 was due.")
            return api.log().strip().removeprefix("beefirst: ").replace(f"{self.migrations.parent}/", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

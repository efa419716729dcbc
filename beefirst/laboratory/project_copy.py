"""A copy of the service's code that differs from it, started for real to see what becomes of the difference."""

import shutil
from contextlib import ExitStack
from importlib.util import cache_from_source
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from beefirst.errors import ProcessError
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.cleanup import close_with, new_folder
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT, MIGRATIONS

NO_PART_OF_THE_SERVICE = ("evaluation", "laboratory", "jupyter")
"""The rooms that the API's image does without, too."""


class ProjectCopy:
    """A copy of the service's rooms and of its migrations, to be changed; removed at the end of its `with` block.

    Args:
        extra: how many harmless migrations to add after the shipped ones.

    Attributes:
        code: the folder that holds the copy of the package `beefirst`.
        migrations: the folder of the copy's migrations.
        newest: the number of the last migration.
    """

    def __init__(self, extra: int = 0) -> None:
        with ExitStack() as unless_made:
            self.code = Path(unless_made.enter_context(new_folder("beefirst-copy-")))
            self.migrations = self.code / "migrations"
            ignored = shutil.ignore_patterns(*NO_PART_OF_THE_SERVICE)
            shutil.copytree(CHECKOUT / "beefirst", self.code / "beefirst", ignore=ignored)
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
        # In an image, Python runs what was compiled without a look at the file.
        Path(cache_from_source(str(file))).unlink(missing_ok=True)

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
            ProcessError: it became ready, or did not end with status 1.
        """
        with self.start(database) as api:
            try:
                api.wait_until_ready()
            except ProcessError as error:
                if api.wait_for_end() != 1:
                    raise error from None
                return api.log().strip().removeprefix("beefirst: ").replace(f"{self.code}/", "")
            raise ProcessError("The API started where it was to refuse.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

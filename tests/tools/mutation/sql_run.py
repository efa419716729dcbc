"""Running SQL's mutants, in a copy of the checkout: each by the tests of `tests/database` that concern it.

What compares the schema with a description, or a file with its checksum (`test_schema_drift`, `test_migrations`), is
left out: it would find every change, and prove nothing about behaviour.
"""

import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from beefirst.database import statements
from beefirst.database.migration_files import read_migrations
from beefirst.errors import MigrationError
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT, MIGRATIONS
from tests.support.databases import apply
from tests.tools.mutation.sql_mutants import SqlMutant
from tests.tools.mutation.sql_text import PYTHON_SQL

SECONDS = 120
"""How long the tests of one mutant may take; they take twenty."""

FILES = ("guards", "claiming", "judging", "guess_budgets", "mail_budgets", "sweeping", "store")
FIRST = {
    "JUDGE_CODE": ("judging", "guess_budgets"),
    "RELEASE_CLAIM": ("judging",),
    "FIND_HOLDER": ("mail_budgets",),
    "BOOK_NOTICE": ("mail_budgets",),
    "REFUND_MAIL": ("mail_budgets",),
    "EXPIRE_DUE_CLAIMS": ("sweeping",),
    "DELETE_ENDED_REGISTRATIONS": ("sweeping",),
    "DELETE_FORGOTTEN_BUDGETS": ("sweeping",),
    "COUNT_OVERDUE_CLAIMS": ("sweeping",),
    "CLAIM_ADDRESS": ("claiming", "mail_budgets"),
    "FIND_CLAIM": ("claiming",),
    "migrations/003_create_address_budgets.sql": ("guess_budgets", "mail_budgets", "claiming"),
}
"""The tests that most likely notice a change of a statement or a file; the others follow."""

PYTEST = (
    *("-x", "-q", "--tb=no", "--assert=plain"),
    *("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # what `warm_up` has imported
)
"""What makes a run of pytest short: nothing is told, rewritten or kept, and no plugin is there in vain."""

VALUES = {
    "email": "ada@example.com",
    "password_hash": "hash",
    "code": "1234",
    "id": "00000000-0000-0000-0000-000000000000",
    "ttl_seconds": 60,
    "max_attempts": 3,
    "batch": 25,
    "mails_a_day": 20,
    "keep_hours": 24,
    "mailed_at": "2026-01-01",
    "notice_due_after": "2026-01-01",
}


@dataclass(frozen=True)
class Workshop:
    """This checkout, a copy, in which one mutant at a time is put in the original's place.

    Attributes:
        migrated: a database on which PostgreSQL plans statements.
    """

    migrated: Connection[Any]

    @contextmanager
    def changed(self, mutant: SqlMutant) -> Iterator[None]:
        """Let the copy hold a mutant for the length of a block."""
        path = CHECKOUT / mutant.path
        path.write_text(mutant.changed, encoding="utf-8")
        Path(cache_from_source(str(path))).unlink(missing_ok=True)  # which tells sizes and seconds apart, and no more
        try:
            yield
        finally:
            path.write_text(mutant.original, encoding="utf-8")

    def judge(self, mutant: SqlMutant) -> str:
        """Return what became of a mutant: `invalid`, `killed`, `survived` or `timeout`."""
        with self.changed(mutant):
            valid = self._is_planned(mutant) if mutant.statement else self._migrates()
            return self.run(mutant.statement or mutant.path) if valid else "invalid"

    def run(self, what: str) -> str:
        """Run the tests, those that concern it first, in a fork that has all but the project imported."""
        first = FIRST.get(what, ())
        names = [*first, *(name for name in FILES if name not in first)]
        child = os.fork()
        if not child:
            _test([f"tests/database/test_{name}.py" for name in names])
        return _outcome(child)

    def _is_planned(self, mutant: SqlMutant) -> bool:
        """Tell whether PostgreSQL can plan the statement; a mistake in its grammar would prove nothing."""
        texts = {found["name"]: found["sql"] for found in PYTHON_SQL.finditer(mutant.changed)}
        try:
            psycopg.ClientCursor(self.migrated).execute(f"EXPLAIN {texts[mutant.statement]}".encode(), VALUES)
        except psycopg.Error:
            return False
        return True

    def _migrates(self) -> bool:
        with ScratchDatabase() as database:
            try:
                apply(database.url, read_migrations(MIGRATIONS))
            except MigrationError:
                return False
        return True


def warm_up() -> None:
    """Import what every run of pytest needs, beside what this module needs itself: the rooms of the service."""
    for plugin in entry_points(group="pytest11"):
        plugin.load()
    gc.freeze()  # pytest collects garbage at its end, and that of this process is none of the fork's


def _test(files: Sequence[str]) -> None:
    os.setpgid(0, 0)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silence, stream)
    importlib.reload(statements)
    for name in [name for name in sys.modules if name.startswith("tests.")]:
        del sys.modules[name]
    os._exit(pytest.main([*PYTEST, *files]))


def _outcome(child: int) -> str:
    ends = time.monotonic() + SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > ends:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "timeout"
        time.sleep(0.02)
    return {0: "survived", 1: "killed"}.get(os.waitstatus_to_exitcode(ended[1]), "broken")

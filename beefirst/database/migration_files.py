"""The migration files: numbered SQL, read in the order in which it is applied, with a checksum."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from beefirst.errors import MigrationError

NO_TRANSACTION = "-- beefirst: no transaction"
"""The first line of a file that is run a statement at a time outside a transaction: CREATE INDEX CONCURRENTLY needs it.

What such a file did before it failed, or its runner died, stays, and the next start runs it from its beginning: it must
be safe to run twice. An index that CONCURRENTLY could not finish stays as INVALID under its name, so that DROP INDEX
CONCURRENTLY IF EXISTS belongs before the CREATE, and IF NOT EXISTS does not belong into it.
"""

# What holds semicolons that end no statement: comments, strings, names, and bodies of functions between dollars.
PIECE = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | \b[eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "[^"]*"
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ | (?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)
FILE_NAME = re.compile(r"(?P<version>[0-9]{3})_[a-z0-9_]+\.sql")


@dataclass(frozen=True)
class Migration:
    """One file of the migrations folder."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum of the text, which is the same whether lines end in LF or CRLF."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        """Whether all of it is run in one transaction, as every file is whose first line is not NO_TRANSACTION."""
        return self.sql.partition("\n")[0].rstrip() != NO_TRANSACTION

    def statements(self) -> Iterator[tuple[int, str]]:
        """Yield each statement with the place in the text at which it begins."""
        ends = [piece.end() for piece in PIECE.finditer(self.sql) if piece["end"]]
        for start, end in pairwise([0, *ends, len(self.sql)]):
            if self.sql[start:end].strip():
                yield start, self.sql[start:end]


def read_migrations(folder: Path) -> list[Migration]:
    """Read the migration files in the order in which they are applied.

    Args:
        folder: holds files named NNN_name.sql, numbered from 001 without a gap; dot-files are passed over.

    Raises:
        MigrationError: the folder is missing or empty, or a file is misnamed, a duplicate, missing, or not UTF-8.
    """
    paths = sorted(path for path in folder.glob("*") if not path.name.startswith("."))
    if not paths:
        raise MigrationError(f"There is no migration in {folder}: restore the folder from the release.")
    migrations = [_read_migration(path) for path in paths]
    for expected, migration in enumerate(migrations, start=1):
        if migration.version < expected:
            raise MigrationError(
                f"Two migrations have the number {migration.version:03}: give {migration.name} another."
            )
        if migration.version > expected:
            raise MigrationError(f"Migration {expected:03} is missing before {migration.name}: restore its file.")
    return migrations


def _read_migration(path: Path) -> Migration:
    named = FILE_NAME.fullmatch(path.name)
    if not named or not path.is_file():
        name = path.name if path.name.isprintable() else repr(path.name)
        raise MigrationError(f"{name} in {path.parent} is not named like 001_create_table.sql: rename or remove it.")
    try:
        return Migration(int(named["version"]), path.name, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise MigrationError(f"{path.name} cannot be read as UTF-8 text: restore it from the release.") from None

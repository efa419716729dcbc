"""Whether the live schema is still what the migrations make, asked of the catalogues as a whole.

What to expect stands in expected_schema.json: for each migration what it adds to the catalogues and what it takes away,
so that what is expected is what the applied ones make together. `python -m tests.tools.describe_schema` writes it from
a database that is migrated file by file, and a test holds it up to date. A service needs no right for the comparison
but to read the catalogues, and its start makes no second schema.

A foreign table or function is no drift, nor is an index that somebody added to a table of ours in order to find rows
faster. Anything else that was added to one is: a UNIQUE index, too, refuses rows, and so may a function of our name.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

from beefirst.database.migration_files import Migration
from beefirst.database.migrations import AppliedMigration, fetch_history, find_pending
from beefirst.database.schema_catalogue import Catalogue, Traits, only, read_catalogue
from beefirst.errors import MigrationError

DESCRIPTION = Path(__file__).with_name("expected_schema.json")
DESCRIBE = "python -m tests.tools.describe_schema"


async def verify(connection: AsyncConnection[Any], migrations: Sequence[Migration]) -> list[str]:
    """Return each difference between the live schema and what the migrations make, in a few words; none at best.

    Args:
        connection: in autocommit mode; nothing is written.
        migrations: as `read_migrations` gives them. One that is not applied is a difference, too, and what it would
            make is not expected.

    Raises:
        MigrationError: files and history do not fit, or a file is none of those that the description knows.
    """
    history = await fetch_history(connection)
    pending = [f"{migration.name} is not applied" for migration in find_pending(migrations, history)]
    expected = expect(history)
    found = find_differences(await read_catalogue(connection, only(expected)), expected)
    if found and await fetch_history(connection) != history:  # somebody migrates at this very moment
        return await verify(connection, migrations)
    return [*pending, *found]


@cache
def read_description() -> dict[str, Any]:
    """Return what each migration does to the catalogues, by its name."""
    return dict(json.loads(DESCRIPTION.read_text(encoding="utf-8")))


def expect(history: Sequence[AppliedMigration]) -> Catalogue:
    """Return what the applied migrations make together.

    Raises:
        MigrationError: one of them is not described.
    """
    described, expected = read_description(), dict[str, Traits]()
    for applied in history:
        change = described.get(applied.name, {})
        if change.get("sha256") != applied.sha256:
            raise MigrationError(f"{applied.name} is not described in {DESCRIPTION.name}: run `{DESCRIBE}`.")
        expected = {name: traits for name, traits in expected.items() if name not in change["removes"]}
        expected |= change["makes"]
    return expected


def find_differences(seen: Catalogue, expected: Catalogue) -> list[str]:
    """Return what is missing, what is not as expected, and what was added."""
    gone = {traits["table"] for name, traits in expected.items() if name.startswith("table ") and name not in seen}
    told = [
        *(f"table {table} is missing" for table in sorted(gone)),
        *(
            words
            for name, traits in expected.items()
            if traits.get("table") not in gone
            for words in (_compare(name, seen[name], traits) if name in seen else [f"{name} is missing"])
        ),
        *(
            f"{name} was added{_quote(traits)}"
            for name, traits in seen.items()
            if name not in expected and _acts(name, traits)
        ),
    ]
    return [" ".join(line.split()) for line in told]  # some definitions have line ends


def _compare(name: str, seen: Traits, expected: Traits) -> Iterator[str]:
    for trait in dict.fromkeys([*expected, *seen]):
        found, wanted = seen.get(trait, "none"), expected.get(trait, "none")
        if found != wanted:
            yield f"{name} has another body" if trait == "body" else f"{name}: {trait} is {found} and not {wanted}"


def _quote(traits: Traits) -> str:
    return f": {traits['definition']}" if "definition" in traits else ""


def _acts(name: str, traits: Traits) -> bool:
    """Tell whether something that was added changes what is stored or refused."""
    return not name.startswith("index ") or traits["definition"].startswith("CREATE UNIQUE ")

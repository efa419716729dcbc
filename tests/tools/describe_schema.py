"""Write beefirst/database/expected_schema.json anew: what each migration does to PostgreSQL's catalogues.

python -m tests.tools.describe_schema

To be run after a migration was added, on any server that notebooks would use (DATABASE_URL, or an embedded one).
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from beefirst.database.migration_files import Migration
from beefirst.database.migrations import migrate
from beefirst.database.schema_catalogue import ALL, Catalogue, read_catalogue
from beefirst.database.schema_drift import DESCRIPTION
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.support.databases import SHIPPED


def describe(url: str, migrations: Sequence[Migration] = SHIPPED) -> dict[str, Any]:
    """Migrate an empty database file by file, and return what each has added to the catalogues and taken away."""
    return asyncio.run(_describe(url, migrations))


async def _describe(url: str, migrations: Sequence[Migration]) -> dict[str, Any]:
    described: dict[str, Any] = {}
    before: Catalogue = {}
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        for number, migration in enumerate(migrations, start=1):
            await migrate(connection, migrations[:number], 10)
            after = await read_catalogue(connection, ALL)
            described[migration.name] = {
                "sha256": migration.sha256,
                "removes": sorted(before.keys() - after.keys()),
                "makes": {name: traits for name, traits in sorted(after.items()) if before.get(name) != traits},
            }
            before = after
    return described


def main() -> None:
    """Write the description."""
    with ScratchDatabase() as database:
        text = json.dumps(describe(database.url), indent=1, ensure_ascii=False)
    DESCRIPTION.write_text(f"{text}\n", encoding="utf-8")
    print(f"{DESCRIPTION.name}: {text.count(chr(10)) + 1} lines")


if __name__ == "__main__":
    main()

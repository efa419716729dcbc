"""What PostgreSQL's catalogues say of a schema, in words that are the same in every version and under any search_path.

Read is what decides what the database stores and refuses: tables, columns, constraints, indexes, triggers, rules,
policies and functions. Not read are owners, privileges, comments, the order of columns and how rows are stored.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from psycopg import AsyncConnection

Traits: TypeAlias = Mapping[str, str]
"""Of one object; under `table` the one that it belongs to."""

Catalogue: TypeAlias = Mapping[str, Traits]
"""The traits of each object by what it is called, such as `trigger registrations_guard_change on registrations`."""

SETTLE = """
    SELECT set_config('quote_all_identifiers', 'off', true),
           set_config('search_path', (SELECT quote_ident(nspname)
                                        FROM pg_class
                                        JOIN pg_namespace ON pg_namespace.oid = relnamespace
                                       WHERE pg_class.oid = to_regclass('schema_migrations')), true)
"""
"""For the transaction, what names in definitions are relative to: the schema in which the migrations have run."""

# Definitions are asked for "pretty": so they leave out the schema that is in the search_path. NOT NULL, from 18 on a
# constraint of its own, is a trait of the column in every version. An index that serves a constraint is told by that.
# A carriage return is no difference: somebody ran a file by hand on another system.
READ = """
    WITH home AS (
        SELECT relnamespace AS schema FROM pg_class WHERE oid = to_regclass('schema_migrations')
    ), tables AS (
        SELECT pg_class.*
          FROM pg_class
          JOIN home ON relnamespace = schema
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
           AND (%(tables)s::text[] IS NULL OR relname = ANY(%(tables)s))
    )
    SELECT format('table %%s', relname),
           jsonb_build_object(
               'table', relname,
               'kind', CASE WHEN relkind <> 'r' THEN 'no table'
                            WHEN relpersistence = 'u' THEN 'unlogged'
                            ELSE 'table' END,
               'row security', CASE WHEN relrowsecurity THEN 'on' ELSE 'off' END)
      FROM tables
    UNION ALL
    SELECT format('column %%s.%%s', relname, attname),
           jsonb_build_object(
               'table', relname,
               'type', format_type(atttypid, atttypmod),
               'null', CASE WHEN attnotnull
                             AND NOT EXISTS (SELECT FROM pg_constraint
                                              WHERE conrelid = attrelid AND contype = 'n'
                                                AND conkey = ARRAY[attnum] AND NOT convalidated)
                            THEN 'refused' ELSE 'allowed' END,
               'collation', (SELECT collname FROM pg_collation WHERE oid = attcollation AND oid <> typcollation),
               'default', pg_get_expr(adbin, adrelid),
               'generated', nullif(attgenerated, ''),
               'identity', nullif(attidentity, ''))
      FROM tables
      JOIN pg_attribute ON attrelid = tables.oid
      JOIN pg_type ON pg_type.oid = atttypid
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('constraint %%s on %%s', conname, relname),
           jsonb_build_object('table', relname, 'definition', pg_get_constraintdef(pg_constraint.oid, true))
      FROM tables
      JOIN pg_constraint ON conrelid = tables.oid
     WHERE contype <> 'n'
    UNION ALL
    SELECT format('index %%s on %%s', own.relname, tables.relname),
           jsonb_build_object(
               'table', tables.relname,
               'definition', pg_get_indexdef(indexrelid, 0, true),
               'state', CASE WHEN indisvalid AND indisready THEN 'valid' ELSE 'INVALID' END)
      FROM tables
      JOIN pg_index ON indrelid = tables.oid
      JOIN pg_class AS own ON own.oid = indexrelid
     WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT format('trigger %%s on %%s', tgname, relname),
           jsonb_build_object(
               'table', relname,
               'definition', pg_get_triggerdef(pg_trigger.oid, true),
               'state', CASE tgenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled'
                                       WHEN 'R' THEN 'enabled on replicas alone' ELSE 'enabled always' END)
      FROM tables
      JOIN pg_trigger ON tgrelid = tables.oid
     WHERE NOT tgisinternal
    UNION ALL
    SELECT format('rule %%s on %%s', rulename, relname),
           jsonb_build_object('table', relname, 'definition', pg_get_ruledef(pg_rewrite.oid, true))
      FROM tables
      JOIN pg_rewrite ON ev_class = tables.oid
    UNION ALL
    SELECT format('policy %%s on %%s', polname, relname),
           jsonb_build_object(
               'table', relname,
               'definition', concat_ws(' ', polcmd, polpermissive, pg_get_expr(polqual, polrelid),
                                       pg_get_expr(polwithcheck, polrelid)))
      FROM tables
      JOIN pg_policy ON polrelid = tables.oid
    UNION ALL
    SELECT format('function %%s(%%s)', proname, pg_get_function_identity_arguments(pg_proc.oid)),
           jsonb_build_object(
               'arguments', pg_get_function_arguments(pg_proc.oid),
               'result', pg_get_function_result(pg_proc.oid),
               'language', lanname,
               'volatility', CASE provolatile WHEN 'v' THEN 'volatile' WHEN 's' THEN 'stable' ELSE 'immutable' END,
               'null input', CASE WHEN proisstrict THEN 'gives null' ELSE 'is passed on' END,
               'runs as', CASE WHEN prosecdef THEN 'its owner' ELSE 'whoever calls it' END,
               'settings', array_to_string(proconfig, ', '),
               'body', encode(sha256(convert_to(replace(prosrc, E'\\r', ''), 'UTF8')), 'hex'))
      FROM pg_proc
      JOIN home ON pronamespace = schema
      JOIN pg_language ON pg_language.oid = prolang
     WHERE %(functions)s::text[] IS NULL OR proname = ANY(%(functions)s)
"""


def only(expected: Catalogue) -> dict[str, list[str] | None]:
    """Return the parameters of READ that leave out what is foreign: other tables, and functions of other names."""
    return {
        "tables": sorted({traits["table"] for traits in expected.values() if "table" in traits}),
        "functions": sorted({name.split()[1].partition("(")[0] for name in expected if name.startswith("function ")}),
    }


ALL: dict[str, list[str] | None] = {"tables": None, "functions": None}
"""The parameters of READ that leave out nothing of the schema."""


async def read_catalogue(connection: AsyncConnection[Any], parameters: Mapping[str, list[str] | None]) -> Catalogue:
    """Return what is in the schema of `schema_migrations`; nothing where there is none.

    Args:
        connection: in autocommit mode; nothing is written.
        parameters: what `only` returns, or ALL.
    """
    async with connection.transaction():
        await connection.execute(SETTLE)
        return collect(await (await connection.execute(READ, parameters)).fetchall())


def collect(rows: Iterable[tuple[str, dict[str, str | None]]]) -> Catalogue:
    """Return the rows of READ by object, without the traits that it does not have."""
    return {name: {trait: value for trait, value in traits.items() if value is not None} for name, traits in rows}

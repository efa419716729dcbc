"""What can go wrong in SQL: each mutant is one small change to one file, as somebody might make it by mistake."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import unified_diff

from tests.tools.mutation.sql_text import SqlText

STATES = ("CLAIMED", "ACTIVE", "EXPIRED", "LOCKED")
CLAUSE = r"\b(?:WHERE|ORDER BY|LIMIT|RETURNING|ON CONFLICT|(?<!DISTINCT )FROM|SET|FOR UPDATE|EXECUTE)\b"
OPERAND = rf"{CLAUSE}|\b(?:AND|OR|THEN|ELSE|WHEN)\b|,"

# (pattern, what may stand in its place), in code but not in strings.
SWAPS: list[tuple[str, tuple[str, ...]]] = [
    (r"(?<!CREATE )\bOR\b(?! REPLACE)", ("AND",)),
    (r"(?<![<>:!=])=(?![>=])", ("<>",)),
    (r"<>", ("=",)),
    (r"<(?![=>])", ("<=",)),
    (r"<=", ("<",)),
    (r"(?<![<=])>(?!=)", (">=",)),
    (r"(?<!<)>=", (">",)),
    (r"(?<!!)~", ("!~",)),
    (r"!~", ("~",)),
    (r"\bIS NOT NULL\b", ("IS NULL",)),
    (r"\bIS NULL\b", ("IS NOT NULL",)),
    (r"\bIS DISTINCT FROM\b", ("IS NOT DISTINCT FROM",)),
    (r"\bIS NOT DISTINCT FROM\b", ("IS DISTINCT FROM",)),
    (r"\bNOT (?=IN\b|EXISTS \(|BETWEEN\b|same_claim)", ("",)),
    (r"(?<!NOT )\bIN(?= \()", ("NOT IN",)),
    (r"(?<!IS )\bNOT NULL\b", ("",)),
    (r"\b(?:UNIQUE|PRIMARY KEY)\b", ("",)),
    (r"\bIF (?:NOT )?EXISTS\b", ("",)),
    (r"(?<=CREATE )OR REPLACE ", ("",)),
    (r"\bDEFAULT (?:[\w.]+\(\)|\S+?(?=[\s,]))", ("",)),
    (r"\bFOR UPDATE SKIP LOCKED\b", ("",)),
    (r"(?<=UPDATE )SKIP LOCKED\b", ("",)),
    (r"\bLIMIT \S+", ("",)),
    (r"\bORDER BY (\w+)", ("", r"ORDER BY \1 DESC")),
    (r"(?<=\s)[+](?=\s)", ("-",)),
    (r"(?<=\s)-(?=\s)", ("+",)),
    (r"(?<=\s)\*(?=\s)", ("+",)),
    (r"\bleast\b", ("greatest",)),
    (r"\bclock_timestamp\(\)", ("now()",)),
    (r"\bBEFORE UPDATE\b", ("AFTER UPDATE", "BEFORE INSERT")),
    (r"\bAFTER UPDATE\b", ("BEFORE UPDATE", "AFTER INSERT")),
    (r"\bVOLATILE\b", ("STABLE",)),
    (r"\bOLD\.(?=\w)", ("NEW.",)),
    (r"\bNEW\.(?=\w)", ("OLD.",)),
    (r"\bTRUE\b", ("FALSE",)),
    (r"\b(?:lower|btrim|coalesce|nullif)\(", ("concat(",)),
    (r'\bCOLLATE "C"', ("",)),
    (r" \|\| [\w.]+", ("",)),
    (r"\bLEFT JOIN\b", ("JOIN",)),
    (r"\bmake_interval\((?:secs|hours) => (%\(\w+\)s)\)", (r"make_interval(mins => \1)",)),
    (r"\bexcluded\.", ("budget.", "held.")),
]


@dataclass(frozen=True)
class SqlMutant:
    """One change.

    Attributes:
        path: of the file, from the checkout.
        statement: the name of the statement, where the file is a Python module.
    """

    path: str
    statement: str
    original: str
    changed: str

    @property
    def name(self) -> str:
        """The file, and the statement in it."""
        return f"{self.path} {self.statement}".rstrip()

    def diff(self) -> str:
        """Return the change as a diff without context."""
        lines = unified_diff(
            self.original.splitlines(), self.changed.splitlines(), self.path, self.path, n=0, lineterm=""
        )
        return "\n".join(list(lines)[2:])


Edit = tuple[int, int, str]


def find_mutants(path: str, text: str) -> list[SqlMutant]:
    """Return every change to a file, each once, in the order of the text."""
    sql = SqlText(text, path.endswith(".py"))
    edits = {edit for operator in OPERATORS for edit in operator(sql)}
    changed = [(sql.named(start), text[:start] + new + text[end:]) for start, end, new in sorted(edits)]
    return [SqlMutant(path, name, text, mutant) for name, mutant in dict.fromkeys(changed) if mutant != text]


def _swaps(sql: SqlText) -> Iterator[Edit]:
    for pattern, others in SWAPS:
        for found in sql.find(pattern):
            yield from ((found.start(), found.end(), found.expand(other)) for other in others)


def _conjunctions(sql: SqlText) -> Iterator[Edit]:
    for found in sql.find(r"\bAND\b"):
        if not re.search(r"BETWEEN \S+ $", sql.bare[: found.start()]):
            yield found.start(), found.end(), "OR"


def _operands(sql: SqlText) -> Iterator[Edit]:
    """Leave out a condition, with what joins it to the others."""
    for found in sql.find(r"\b(?:AND|OR)\b(?! REPLACE)"):
        if not re.search(r"BETWEEN \S+ $", sql.bare[: found.start()]):
            yield found.start(), sql.end_of_piece(found.end(), OPERAND), " "
    for found in sql.find(r"\b(?:WHERE|WHEN|(?<!END )IF(?! (?:NOT )?EXISTS)|CHECK)\b(?! FOUND)"):
        end = sql.end_of_piece(found.end(), OPERAND)
        yield found.end(), end, " (TRUE) "
        yield found.end(), end, " (FALSE) "


def _branches(sql: SqlText) -> Iterator[Edit]:
    """Leave out one branch of a CASE."""
    for found in sql.find(r"\bWHEN\b(?! \(OLD)"):
        yield found.start(), sql.end_of_piece(found.end(), r"\bWHEN\b|\bELSE\b|\bEND\b"), " "
    for found in sql.find(r"\bELSE\b"):
        yield found.start(), sql.end_of_piece(found.end(), r"\bEND\b"), " "


def _assignments(sql: SqlText) -> Iterator[Edit]:
    """Leave out one column that an UPDATE sets."""
    for found in sql.find(r"\bSET\b|,(?=\s+\w+\s+=)"):
        end = sql.end_of_piece(found.end(), rf"{CLAUSE}|,")
        if found[0] == ",":
            yield found.start(), end, ""
        elif sql.bare[end] == ",":
            yield found.end(), end + 1, " "


def _constraints(sql: SqlText) -> Iterator[Edit]:
    """Leave out a constraint of a table or a column."""
    for found in sql.find(r"\bADD CONSTRAINT\b|\bCHECK (?=\()"):
        end = sql.end_of_piece(found.end(), ",")
        if found[0].startswith("CHECK"):
            yield found.start(), sql.end_of_piece(found.end(), r",|\n"), ""
        else:
            yield found.start(), end + (sql.bare[end] == ","), ""


def _statements(sql: SqlText) -> Iterator[Edit]:
    """Leave out a whole statement of a migration, or a line of a function's body."""
    if sql.is_python:
        return
    for found in sql.find(r"(?m)^ *(?:CREATE|ALTER|UPDATE|DO|IF|RETURN|RAISE|budget\.|INSERT)\b"):
        block = r"END IF;" if found[0].strip() == "IF" else r"^\$\$;" if "$$" in _line(sql, found) else r";"
        stop = re.compile(block, re.MULTILINE).search(sql.bare, found.end())
        if stop:
            yield found.start(), stop.end(), ""


def _line(sql: SqlText, found: re.Match[str]) -> str:
    """Return the statement's own first lines, up to the body that they may open."""
    return sql.bare[found.start() : sql.bare.find("\n", sql.bare.find("\n", found.end()) + 1)]


def _numbers(sql: SqlText) -> Iterator[Edit]:
    in_strings = r"(?<=INTERVAL ')\d+|(?<=\{)\d(?=\})|(?<=\[0-)9|(?<=\\x)\d\d(?=-)"
    for found in (*sql.find(r"(?<![\w%.])\d+\b"), *sql.find(in_strings, within_strings=True)):
        yield from ((found.start(), found.end(), str(int(found[0]) + by)) for by in (-1, 1))


def _strings(sql: SqlText) -> Iterator[Edit]:
    for found in sql.find(rf"(?<=')(?:{'|'.join(STATES)})(?=')", within_strings=True):
        yield found.start(), found.end(), STATES[(STATES.index(found[0]) + 1) % len(STATES)]
    for found in sql.find(r"(?<=')\^|\$(?=')", within_strings=True):
        yield found.start(), found.end(), ""


OPERATORS: list[Callable[[SqlText], Iterator[Edit]]] = [
    _swaps,
    _conjunctions,
    _operands,
    _branches,
    _assignments,
    _constraints,
    _statements,
    _numbers,
    _strings,
]

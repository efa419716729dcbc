"""SQL as the mutator reads it: what is code, what stands within a string, and where a piece of it ends."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

COMMENT = re.compile(r"--[^\n]*")
STRING = re.compile(r"'(?:''|[^'])*'")
PYTHON_SQL = re.compile(r'^(?P<name>[A-Z_]+) = """(?P<sql>.*?)"""', re.DOTALL | re.MULTILINE)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


@dataclass(frozen=True)
class SqlText:
    """The text of a file whose SQL is to be changed.

    Attributes:
        text: as it stands in the file, be it SQL or a Python module with statements between triple quotes.
        is_python: whether it is such a module.
    """

    text: str
    is_python: bool

    @cached_property
    def code(self) -> str:
        """The text with as many spaces in the place of all that is no SQL, and of comments.

        In a Python module, each statement is followed by a semicolon.
        """
        if not self.is_python:
            return COMMENT.sub(_blank, self.text)
        blank = list(re.sub(r"[^\n]", " ", self.text))
        for found in PYTHON_SQL.finditer(self.text):
            blank[found.start("sql") : found.end("sql") + 1] = [*COMMENT.sub(_blank, found["sql"]), ";"]
        return "".join(blank)

    @cached_property
    def bare(self) -> str:
        """The code with as many spaces in the place of strings, too."""
        return STRING.sub(_blank, self.code)

    def find(self, pattern: str, *, within_strings: bool = False) -> Iterator[re.Match[str]]:
        """Yield where a pattern stands in the code."""
        yield from re.finditer(pattern, self.code if within_strings else self.bare)

    def end_of_piece(self, start: int, stops: str) -> int:
        """Return where the piece that begins at `start` ends: at one of the stops, or where its bracket closes."""
        depth = cases = 0
        for token in re.finditer(rf"[()]|\bCASE\b|\bEND\b|{stops}|;|\$\$|\Z", self.bare[start:]):
            if (word := token[0]) in {"(", ")"}:
                depth += 1 if word == "(" else -1
            elif word in {"CASE", "END"} and (word == "CASE" or cases):
                cases += 1 if word == "CASE" else -1
            elif not depth and not cases:
                return start + token.start()
            if depth < 0:
                return start + token.start()
        return len(self.bare)

    def named(self, place: int) -> str:
        """Return the name of the statement of a Python module at this place."""
        return next((s["name"] for s in PYTHON_SQL.finditer(self.text) if s.start() <= place < s.end()), "")

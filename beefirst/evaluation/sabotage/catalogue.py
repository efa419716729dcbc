"""The catalogue of defects: each a small change of the project, the promise that it breaks, and what must notice."""

import difflib
import hashlib
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from beefirst.evaluation.promises import CHECKS
from beefirst.machine.folders import CHECKOUT

FOLDER = Path(__file__).parent / "defects"
AREAS = {
    "schema.toml": "what the database itself refuses",
    "runner.toml": "how migrations are applied",
    "startup.toml": "how the API starts, and refuses to",
    "settings.toml": "settings that are read and have an effect",
    "rules.toml": "how an account comes to be, and does not",
    "races.toml": "what is answered where clients meet at one row",
    "budgets.toml": "how often a code may be guessed",
    "mail.toml": "what is mailed, when and by whom",
    "http.toml": "what is answered",
    "limits.toml": "how much a client may ask for, and which passwords are refused",
    "answer_times.toml": "what the time of an answer tells",
    "attacks.toml": "what an attacker learns, and can do",
    "sweeper.toml": "how claims end by themselves",
    "load.toml": "how much it serves, how soon, and what becomes of more",
    "failures.toml": "what a part that dies takes along",
    "jupyter.toml": "what protects JupyterLab",
    "compose.toml": "what a container may do",
    "evaluation.toml": "the machinery that judges all of these",
    "live_schema.toml": "the running service's own database, changed by hand",
}
"""The files of the catalogue, each an area, and what its defects are about."""

MOST_LINES = 5
"""What a defect may change: it is small, as what a tired developer writes."""

TEST_FILE = re.compile(r"tests/\S+\.py(::\S+)?")
LIVE_SCHEMA_CHECKS = ("AC3.7", "AC3.8")


class Defect(BaseModel):
    """A small, realistic defect.

    Attributes:
        name: what is wrong, in a few words.
        area: the file of the catalogue without its suffix.
        breaks: the promise, by the id of the check that claims it; for what only a test claims, that test's node id.
        caught_by: what must say so: a notebook, or a test by its node id.
        reason: a regular expression that the evidence must match, so that it is this defect that was noticed.
        file: what is changed; empty where the database of a running service is.
        old: what stands there, exactly once.
        new: what stands there instead.
        sql: what is done to the database of a running service.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    area: str
    breaks: str
    caught_by: str = ""
    reason: str
    file: str = ""
    old: str = ""
    new: str = ""
    sql: str = ""

    @model_validator(mode="before")
    @classmethod
    def _name_the_catcher(cls, values: dict[str, str]) -> dict[str, str]:
        breaks = values.get("breaks", "")
        return {"caught_by": breaks if TEST_FILE.fullmatch(breaks) else notebook_of(breaks)} | values

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not (self.is_caught_by_a_test or self.breaks in CHECKS.get(self.caught_by, {})):
            raise ValueError(f"{self.name}: {self.caught_by or 'no notebook'} makes no check {self.breaks}")
        if bool(self.sql) == bool(self.file and self.old) or (self.sql and self.breaks not in LIVE_SCHEMA_CHECKS):
            raise ValueError(f"{self.name}: either a file is changed, or by sql what {LIVE_SCHEMA_CHECKS} look at")
        if max(len(text.strip("\n").splitlines()) for text in (self.old, self.new)) > MOST_LINES:
            raise ValueError(f"{self.name}: more than {MOST_LINES} lines")
        re.compile(self.reason)
        return self

    @property
    def is_caught_by_a_test(self) -> bool:
        """Whether a test must notice it, and no notebook."""
        return TEST_FILE.fullmatch(self.caught_by) is not None

    @property
    def fingerprint(self) -> str:
        """What tells this defect from one of the same name that was another change, or had to be caught otherwise."""
        return hashlib.sha256(self.model_dump_json(exclude={"name", "area"}).encode()).hexdigest()[:16]

    @cached_property
    def diff(self) -> str:
        """The change as a unified diff; the SQL where that is the change."""
        if self.sql:
            return self.sql.strip()
        return diff(self.file, self.old, self.new)


def diff(file: str, old: str, new: str, root: Path = CHECKOUT) -> str:
    """Return a change of a file as a unified diff with two lines around it; empty where the file cannot be read.

    Args:
        file: its path below `root`.
        old: what stands there.
        new: what stands there instead.
        root: of the checkout.
    """
    try:
        text = (root / file).read_text(encoding="utf-8")
    except OSError:
        return ""
    before, after = text.splitlines(), text.replace(old, new, 1).splitlines()
    return "\n".join(difflib.unified_diff(before, after, file, file, n=2, lineterm=""))


def notebook_of(check: str) -> str:
    """Return the notebook that promises a check; empty where none does."""
    return next((notebook for notebook, checks in CHECKS.items() if check in checks), "")


def read_catalogue(folder: Path = FOLDER) -> list[Defect]:
    """Return every defect, area by area.

    Args:
        folder: of the files, one an area.

    Raises:
        ValueError: a defect is not possible, or two have one name.
    """
    files = [folder / name for name in AREAS]
    defects = [
        Defect(area=file.stem, **entry)
        for file in files
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["defect"]
    ]
    names = [defect.name for defect in defects]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"More than one defect is called {twice[0]!r}")
    return defects

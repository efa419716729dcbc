"""What each check was judged on, as files beside the report: one JSON file a check, named by its id."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from beefirst.errors import ConfigurationError
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import Check, Record

FOLDER = "evidence"
UNFIT = r"[^\w.-]"
"""What the name of a file had better not hold."""


class EvidenceFile(BaseModel):
    """What a check was judged on, and how it came out.

    Attributes:
        notebook: that made the check.
        check: with what was observed for it.
    """

    model_config = ConfigDict(frozen=True)

    notebook: str
    check: Check


def name_of(notebook: str, key: str) -> str:
    """Return what a check is called in its report: its id, with its notebook's name where that does not promise it."""
    return key if key in CHECKS.get(notebook, ()) else f"{notebook}.{key}"


def path_of(notebook: str, key: str) -> str:
    """Return where the file of a check lies, from the report's folder on."""
    return f"{FOLDER}/{re.sub(UNFIT, '_', name_of(notebook, key))}.json"


def write_evidence(folder: Path, records: Sequence[Record]) -> None:
    """Write a file for each check, in the place of those that an earlier report has left.

    Args:
        folder: of the report.
        records: of its notebooks.
    """
    remove_evidence(folder)
    (folder / FOLDER).mkdir(exist_ok=True)
    for record in records:
        for check in record.checks:
            evidence = EvidenceFile(notebook=record.notebook, check=check)
            (folder / path_of(record.notebook, check.key)).write_text(
                evidence.model_dump_json(indent=1), encoding="utf-8"
            )


def remove_evidence(folder: Path) -> None:
    """Remove what an earlier report has left."""
    for old in (folder / FOLDER).glob("*.json"):
        old.unlink()


def read_evidence(folder: Path) -> list[EvidenceFile]:
    """Return what the files of a report hold, in the order of the checks' ids.

    Raises:
        ConfigurationError: there are none, or one of them cannot be read; the message names it.
    """
    paths = sorted((folder / FOLDER).glob("*.json"))
    if not paths:
        raise ConfigurationError(f"There is no evidence in {folder / FOLDER}: name the folder of a report.")
    return list(_read_all(paths))


def _read_all(paths: Iterable[Path]) -> Iterable[EvidenceFile]:
    for path in paths:
        try:
            yield EvidenceFile.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"{error.error_count()} of its fields are wrong"
            raise ConfigurationError(f"{path} is no evidence of a report ({reason}).") from None

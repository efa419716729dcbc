"""The folder of a report, in the place of the one that was there before."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beefirst.errors import ConfigurationError
from beefirst.evaluation.report.evidence_files import FOLDER as EVIDENCE
from beefirst.evaluation.report.evidence_files import remove_evidence
from beefirst.machine.folders import replace_file

BEING_MADE = "<!doctype html><title>beefirst</title>This report is being made, or was interrupted: make it again."


def refuse_foreign(folder: Path) -> None:
    """Raise ConfigurationError for what a report would replace and no report has left, for it may be all there is."""
    for name, pattern in (("notebooks", "*.ipynb"), (EVIDENCE, "*.json")):
        place = folder / name
        if place.is_symlink() or (any(place.glob(pattern)) and not (folder / "report.html").exists()):
            raise ConfigurationError(f"{place} is no report's: name another folder with --output.")


def refuse_unwritable(folder: Path) -> None:
    """Raise PermissionError, or FileExistsError, where a report could not go; nothing is changed."""
    nearest = next(place for place in (folder / "notebooks", folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(nearest))
    for place in (nearest, folder) if folder.exists() else (nearest,):
        _refuse_unwritable(place)


def begin_report(folder: Path) -> None:
    """Take away what an earlier report left, and leave word of the one that is being made."""
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True, exist_ok=True)
    for place in (folder, notebooks):  # before the first file of the old one is lost
        _refuse_unwritable(place)
    replace_file(folder / "report.html", BEING_MADE.encode())
    for old in (folder / "report.pdf", folder / "junit.xml", *notebooks.glob("*.ipynb")):
        old.unlink(missing_ok=True)
    remove_evidence(folder)


def _refuse_unwritable(place: Path) -> None:
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))


@contextmanager
def explain_unwritable_output() -> Iterator[None]:
    """Turn the operating system's refusal into the one line that helps.

    Raises:
        ConfigurationError: a file or folder could not be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write {error.filename} ({error.strerror}): name another folder with --output."
        ) from None

"""The report to take away: every notebook run, and what each found on one page that needs no network."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import ConfigurationError, NotebooksFailedError
from beefirst.evaluation.notebook_list import find_notebooks
from beefirst.evaluation.report.junit import junit_xml
from beefirst.evaluation.report.page import Section, render
from beefirst.evaluation.report.pdf import print_pdf
from beefirst.evaluation.report.provenance import gather_provenance
from beefirst.evaluation.report.runner import run_notebook
from beefirst.laboratory.scratch_database import configured_url
from beefirst.machine.folders import NOTEBOOKS, replace_file

BEING_MADE = "<!doctype html><title>beefirst</title>This report is being made, or was interrupted: make it again."


def write_report(folder: Path, notebooks: Path = NOTEBOOKS) -> None:
    """Run all notebooks and write report.html, report.pdf, junit.xml and the executed notebooks, saying so as it goes.

    They run on DATABASE_URL where that is set, else on an embedded PostgreSQL that ends with the report. The PDF is
    written where there is a Chromium.

    Args:
        folder: where the files go; made if need be.
        notebooks: the folder of the notebooks.

    Raises:
        ConfigurationError: the folder cannot be written, holds notebooks of its own, or there are none to run.
        NotebooksFailedError: a notebook failed; the report is written all the same, and shows it.
    """
    paths = find_notebooks(notebooks)
    if not paths:
        raise ConfigurationError(f"There is no notebook in {notebooks}.")
    with _explain_unwritable_output():
        _refuse_foreign(folder)
    with ExitStack() as resources:
        url = configured_url() or resources.enter_context(EmbeddedServer.start_ephemeral()).url
        provenance = gather_provenance(url)
        with _explain_unwritable_output():  # not before all is there that a report takes: the old one is lost by it
            _begin(folder)
        records = resources.enter_context(TemporaryDirectory(prefix="beefirst-report-", ignore_cleanup_errors=True))
        sections = _run_all(paths, {**os.environ, "DATABASE_URL": url}, Path(records))
    with _explain_unwritable_output():
        for section in sections:
            nbformat.write(section.run.executed, folder / "notebooks" / section.path.name)
        (folder / "junit.xml").write_bytes(junit_xml([section.run.record for section in sections]))
        (folder / "report.html").write_text(render(sections, provenance))
    print(f"\n{folder / 'report.html'}\n{folder / 'junit.xml'}\n{print_pdf(folder)}", flush=True)
    failed = [section.path.stem for section in sections if not section.run.record.holds]
    if failed:
        raise NotebooksFailedError(f"{len(failed)} of {len(sections)} notebooks failed: {', '.join(failed)}.")


def _refuse_foreign(folder: Path) -> None:
    """Refuse notebooks that lie beside no report: beside one they are known to be copies, else they may be all."""
    notebooks = folder / "notebooks"
    if any(notebooks.glob("*.ipynb")) and not (folder / "report.html").exists():
        raise ConfigurationError(f"{notebooks} is no report's: name another folder with --output.")


def _begin(folder: Path) -> None:
    """Take away what an earlier report left, and leave word of the one that is being made."""
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True, exist_ok=True)
    for place in (folder, notebooks):  # before the first file of the old one is lost
        if not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    replace_file(folder / "report.html", BEING_MADE.encode())
    for old in (folder / "report.pdf", folder / "junit.xml", *notebooks.glob("*.ipynb")):
        old.unlink(missing_ok=True)


@contextmanager
def _explain_unwritable_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write {error.filename} ({error.strerror}): name another folder with --output."
        ) from None


def _run_all(paths: list[Path], environment: Mapping[str, str], records: Path) -> list[Section]:
    # The first one tells what the others found.
    others = [_run(path, environment, records) for path in paths[1:]]
    return [_run(paths[0], environment, records, others_have_run=True), *others]


def _run(path: Path, environment: Mapping[str, str], records: Path, *, others_have_run: bool = False) -> Section:
    print(f"{path.stem:20} ", end="", flush=True)
    run = run_notebook(path, environment, records=records, others_have_run=others_have_run)
    print(f"{run.record.verdict:24} {run.seconds:6.1f} s", flush=True)
    return Section(path, run)

"""The report to take away: every notebook run, and what each found on one page that needs no network."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import ConfigurationError, NotebooksFailedError
from beefirst.evaluation.notebook_list import FIRST, find_notebooks
from beefirst.evaluation.records import save_record
from beefirst.evaluation.report.evidence_files import write_evidence
from beefirst.evaluation.report.folder import begin_report, explain_unwritable_output, refuse_foreign
from beefirst.evaluation.report.host_view import HostRun, HostView
from beefirst.evaluation.report.junit import junit_xml
from beefirst.evaluation.report.page import Section, render
from beefirst.evaluation.report.pdf import print_pdf
from beefirst.evaluation.report.provenance import gather_provenance
from beefirst.evaluation.report.runner import NotebookRun, run_notebook
from beefirst.laboratory.scratch_database import configured_url
from beefirst.machine.folders import NOTEBOOKS

IN_THE_CONTAINER = "in the container"
BY_THE_HOST = "by the host: no container has a PostgreSQL to kill, clocks to put wrong, or the right to mount a disk"


def write_report(folder: Path, notebooks: Path = NOTEBOOKS, host: HostView | None = None) -> None:
    """Run all notebooks and write the page, its PDF, junit.xml, the evidence and the executed notebooks, saying so.

    They run on DATABASE_URL where that is set, else on an embedded PostgreSQL that ends with the report. The PDF is
    written where there is a Chromium.

    Args:
        folder: where the files go; made if need be.
        notebooks: the folder of the notebooks.
        host: what the host of this container sees, where that asks for the report; it also says where that lies.

    Raises:
        ConfigurationError: the folder cannot be written, holds notebooks of its own, or there are none to run.
        NotebooksFailedError: a notebook failed; the report is written all the same, and shows it.
    """
    paths = find_notebooks(notebooks)
    if not paths:
        raise ConfigurationError(f"There is no notebook in {notebooks}.")
    with explain_unwritable_output():
        refuse_foreign(folder)
    with ExitStack() as resources:
        url = configured_url() or resources.enter_context(EmbeddedServer.start_ephemeral()).url
        provenance = gather_provenance(url) | (host.provenance if host else {})
        with explain_unwritable_output():  # not before all is there that a report takes: the old one is lost by it
            begin_report(folder)
        records = resources.enter_context(TemporaryDirectory(prefix="beefirst-report-", ignore_cleanup_errors=True))
        environment = {**os.environ, "DATABASE_URL": url}
        sections = _run_all(paths, partial(_run, environment=environment, records=Path(records), host=host))
    with explain_unwritable_output():
        for section in sections:
            nbformat.write(section.run.executed, folder / "notebooks" / section.path.name)
        (folder / "junit.xml").write_bytes(junit_xml([section.run.record for section in sections]))
        write_evidence(folder, [section.run.record for section in sections])
        (folder / "report.html").write_text(render(sections, provenance))
    if host is None:
        print(f"\n{folder / 'report.html'}\n{folder / 'junit.xml'}\n{print_pdf(folder)}", flush=True)
    failed = [section.run.record.blamed for section in sections if not section.run.record.holds]
    if failed:
        raise NotebooksFailedError(f"{len(failed)} of {len(sections)} notebooks failed: {', '.join(failed)}.")


def _run_all(paths: Sequence[Path], run: Callable[..., Section]) -> list[Section]:
    """Run the notebooks, the first one last, for it counts what the others found; return them in their own order."""
    found = {path: run(path) for path in paths if path.stem != FIRST}
    names = [path.stem for path in found]
    return [found[path] if path in found else run(path, others=names) for path in paths]


def _run(path: Path, environment: Mapping[str, str], records: Path, host: HostView | None, **told: Any) -> Section:
    if host is None:
        return run_section(path, environment, records, **told)
    if path.stem in host.runs:
        return _take_over(path, host.runs[path.stem], records)
    seconds = host.seconds_from_command
    return run_section(path, environment, records, where=IN_THE_CONTAINER, seconds_from_command=seconds, **told)


def run_section(path: Path, environment: Mapping[str, str], records: Path, *, where: str = "", **told: Any) -> Section:
    """Run a notebook, say so in a line, and return it as a section of the report.

    Args:
        path: of the notebook.
        environment: of its kernel.
        records: where its record goes.
        where: what the page says of the machine.
        told: see `run_notebook`.
    """
    print(f"{path.stem:20} ", end="", flush=True)
    run = run_notebook(path, environment, records=records, **told)
    print(f"{run.record.verdict:24} {run.seconds:6.1f} s", flush=True)
    if not run.record.holds:
        print(f"    {run.record.sentence}", flush=True)
    for check in run.record.failed_checks:
        if check.result == "FAIL":
            print(f"    {check.key}, {check.requirement}: {check.evidence}", flush=True)
    return Section(path, run, where)


def _take_over(path: Path, found: HostRun, records: Path) -> Section:
    """Return a notebook as the host has run it, and keep its record for those who count."""
    save_record(found.record, records)
    executed = nbformat.reads(found.executed, as_version=4)
    return Section(path, NotebookRun(found.record, found.seconds, executed), BY_THE_HOST)

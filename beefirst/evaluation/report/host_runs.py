"""The notebooks that a host runs itself for the report of its containers, so that none of their checks is hidden."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from beefirst.embedded_postgres.cluster import MAJOR
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import EmbeddedServerError
from beefirst.evaluation.notebook_list import find_notebooks
from beefirst.evaluation.report.host_view import HostRun
from beefirst.evaluation.report.write import run_section
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import NOTEBOOKS

NEED_A_HOST = ("10_failures",)
"""They kill servers of their own, put clocks wrong and fill disks: a container has no PostgreSQL, and no right to."""


def run_on_host(folder: Path = NOTEBOOKS) -> tuple[dict[str, HostRun], str]:
    """Run the notebooks that need a host, on an embedded PostgreSQL.

    Where that does not start, as without its package, there are none: the container then runs them along with all
    others, and says of each check that it cannot make what shows it.

    Args:
        folder: of the notebooks.

    Returns:
        The runs by name, and in words which machine runs which notebook.
    """
    paths = [path for path in find_notebooks(folder) if path.stem in NEED_A_HOST]
    if not paths:
        return {}, "all in the container"
    names = ", ".join(path.stem for path in paths)
    with ExitStack() as resources:
        try:
            server = resources.enter_context(EmbeddedServer.start_ephemeral())
        except EmbeddedServerError as error:
            print(f"The container runs {names}, too, and shows it in part: {error}", file=sys.stderr, flush=True)
            return {}, f"all in the container, which shows {names} in part, for the host cannot run it: {error}"
        records = resources.enter_context(TemporaryDirectory(prefix="beefirst-report-", ignore_cleanup_errors=True))
        environment = clean_environment() | {"DATABASE_URL": server.url}
        runs = {path.stem: _run(path, environment, Path(records)) for path in paths}
    return runs, f"{names} by the host, with PostgreSQL {MAJOR} of its own; all others in the container"


def _run(path: Path, environment: Mapping[str, str], records: Path) -> HostRun:
    run = run_section(path, environment, records).run
    return HostRun(record=run.record, seconds=run.seconds, executed=nbformat.writes(run.executed))

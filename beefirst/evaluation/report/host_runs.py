"""The notebooks that a host runs itself for the report of its containers, so that none of their checks is hidden."""

from collections.abc import Mapping
from pathlib import Path

import nbformat

from beefirst.embedded_postgres.programs import find_package
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import EmbeddedServerError
from beefirst.evaluation.notebook_list import find_notebooks
from beefirst.evaluation.report.host_view import HostRun
from beefirst.evaluation.report.write import run_section
from beefirst.laboratory.environment import clean_environment

NEED_A_HOST = ("10_failures",)
"""They kill servers of their own, put clocks wrong and fill disks: a container has no PostgreSQL, and no right to."""


def run_on_host(folder: Path, records: Path) -> dict[str, HostRun]:
    """Run the notebooks that need a host, on an embedded PostgreSQL, and return the runs by name.

    Without the package of the embedded PostgreSQL there are none: the container then runs them, and says of each check
    what shows it.

    Args:
        folder: of the notebooks.
        records: where their records go.
    """
    paths = [path for path in find_notebooks(folder) if path.stem in NEED_A_HOST]
    if not paths:
        return {}
    try:
        find_package()
    except EmbeddedServerError as error:
        print(f"{error} So {', '.join(path.stem for path in paths)} is shown in part alone.", flush=True)
        return {}
    with EmbeddedServer.start_ephemeral() as server:
        environment = clean_environment() | {"DATABASE_URL": server.url}
        return {path.stem: _run(path, environment, records) for path in paths}


def _run(path: Path, environment: Mapping[str, str], records: Path) -> HostRun:
    run = run_section(path, environment, records).run
    return HostRun(record=run.record, seconds=run.seconds, executed=nbformat.writes(run.executed))

"""The report of every notebook in its container, by a host that sees what no container can: all checks are shown."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from beefirst.errors import ConfigurationError, NotebooksFailedError, ProcessError
from beefirst.evaluation.report.folder import begin_report, explain_unwritable_output, refuse_foreign, refuse_unwritable
from beefirst.evaluation.report.host_runs import run_on_host
from beefirst.evaluation.report.host_view import HostView
from beefirst.evaluation.report.pdf import print_pdf
from beefirst.evaluation.report.provenance import describe_host
from beefirst.laboratory.compose_project import (
    CAPTURED,
    COMPOSE,
    HANGS_SECONDS,
    ComposeProject,
    docker,
    last_lines,
    missing_engine,
    run_apart,
)
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_for

PREFIX = "beefirst-report-"
"""How the names of its compose projects begin."""

TAKE_DOWN_SECONDS = 180
"""How long a second Ctrl-C does not disturb the taking down, as long as that may take on a busy machine."""

PATIENCE_SECONDS = 3
"""How long Compose may take to stop in order; what it has brought up is thrown away."""

INSIDE = "/data/report"
"""Where the report is made in the container: on its volume, for its root is read-only."""

BUILD = ("build",)
LOAD = ("pull", "--policy", "missing", "--ignore-buildable", "--quiet")

SAYS = "beefirst: "
"""How the one line begins with which a command of beefirst fails."""


def write_compose_report(folder: Path) -> None:
    """Bring the compose file up, run every notebook in its container, and take out the report; as `write_report` does.

    The project has a name and ports of its own and empty volumes. It is gone afterwards, also where this is
    interrupted; the images stay, under the names that `docker compose build` gives them. What the host saw, above all
    the time from the command to the API ready, is judged by the notebooks along with what they see; and it runs those
    itself that take more than a container has.

    Args:
        folder: where the files go; made if need be, and left alone until the report is there.

    Raises:
        ConfigurationError: no Docker engine answers, or the folder cannot be written or holds notebooks of its own.
        NotebooksFailedError: a notebook failed; the report is written all the same, and shows it.
        ProcessError: the services did not come up, or the report was not made.
    """
    with explain_unwritable_output():
        refuse_foreign(folder)
        refuse_unwritable(folder)
    if missing := missing_engine():
        raise ConfigurationError(f"--compose takes Docker, and {missing}: see to that, or leave the option out.")
    with TemporaryDirectory(prefix="beefirst-report-", ignore_cleanup_errors=True) as made:
        failure = _make(Path(made))
        with explain_unwritable_output():
            begin_report(folder)
            shutil.copytree(made, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    print(f"\n{folder / 'report.html'}\n{folder / 'junit.xml'}\n{print_pdf(folder)}", flush=True)
    if failure:
        raise NotebooksFailedError(failure)


def _make(folder: Path) -> str:
    """Make the report in a folder, and return what failed in it."""
    images_of = _build()
    # Before the services: they would share the machine, and the time from the command would tell of that.
    runs, by_whom = run_on_host()
    with _throw_away_project() as project:
        project.take_images(images_of)
        with project.in_foreground(patience=PATIENCE_SECONDS) as seconds:
            print(f"{'docker compose up':20} {'API ready':24} {seconds:6.1f} s", flush=True)
            if not wait_for(project.serves_notebooks, HANGS_SECONDS):
                raise ProcessError("JupyterLab does not answer in its container.")
            provenance = describe_host() | _versions() | {"notebooks": by_whom}
            host = HostView(seconds_from_command=seconds, provenance=provenance, runs=runs)
            failure = _run_notebooks(project, host)
            taken_out = project.call("cp", f"notebook:{INSIDE}/.", str(folder))
            if taken_out.returncode:
                raise ProcessError(failure or f"The report was not made: {last_lines(taken_out.stderr)}")
            return failure


@contextmanager
def _throw_away_project() -> Iterator[ComposeProject]:
    # Settings of the checkout's .env are for the reader's own services.
    project = ComposeProject(PREFIX, (*COMPOSE, "--env-file", os.devnull))
    try:
        yield project
    finally:
        project.remove()


def _build() -> str:
    """Build the images and load that of the database, as Compose does for the checkout; return the project's name."""
    print("Building the images, and loading that of the database where it is not here ...", file=sys.stderr, flush=True)
    for words in BUILD, LOAD:
        done = run_apart([*COMPOSE, *words], cwd=CHECKOUT, stdout=sys.stderr)
        if done.returncode:
            raise ProcessError(f"`docker compose {words[0]}` ended with status {done.returncode}.")
    described = run_apart([*COMPOSE, "config", "--format", "json"], cwd=CHECKOUT, **CAPTURED)
    if described.returncode:
        raise ProcessError(f"`docker compose config` says: {last_lines(described.stderr)}")
    return str(json.loads(described.stdout)["name"])


def _run_notebooks(project: ComposeProject, host: HostView) -> str:
    """Run the report inside, with its progress on this process's output, and return what failed in it."""
    command = ["python", "-m", "beefirst", "report", "--output", INSIDE, "--host-view"]
    inside = [*project.command, "exec", "-T", "notebook", *command]
    told = host.model_dump_json()
    done = run_apart(inside, told=told, cwd=project.folder, env=project.environment(), stderr=subprocess.PIPE)
    said = done.stderr.strip().rpartition("\n")[2]
    if done.returncode == 0:
        return ""
    if done.returncode == 1 and said.startswith(SAYS):
        return said.removeprefix(SAYS)
    raise ProcessError(f"The report in the container ended with status {done.returncode}: {last_lines(done.stderr)}")


def _versions() -> dict[str, str]:
    engine = docker("version", "--format", "{{.Server.Version}}").strip()
    return {"Docker": f"engine {engine}, Compose {docker('compose', 'version', '--short').strip()}"}

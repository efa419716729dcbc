"""The command line: python -m beefirst up | api | migrate | notebooks | report."""

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from beefirst.errors import BeefirstError, RefusedError, SchemaDriftError
from beefirst.settings import DeploymentSettings, Settings

EPILOG = "Settings come from the environment and from .env in the current folder; the README lists them."

LEFT_OUT_OF_THE_API_IMAGE = tuple(
    f"beefirst.{room}" for room in ("embedded_postgres", "evaluation", "jupyter", "laboratory", "up")
)

THE_API_ALONE = (
    "This image holds the API alone. JupyterLab runs in the service notebook, and there is the place for the report: "
    "`docker compose exec notebook python -m beefirst report`."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after `python -m beefirst`; those of this process where left out.

    Returns:
        The exit status: 0, 1 after one line on standard error that says what to do, or 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except RefusedError:
        return 1
    except BeefirstError as error:
        print(f"beefirst: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name not in LEFT_OUT_OF_THE_API_IMAGE:
            raise
        print(f"beefirst: {THE_API_ALONE}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m beefirst", description=__import__("beefirst").__doc__, epilog=EPILOG
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start PostgreSQL, the API and JupyterLab, without Docker")
    up.add_argument("--ephemeral", action="store_true", help="use a throw-away database")
    up.set_defaults(command=_up)

    api = commands.add_parser("api", help="serve the API")
    api.set_defaults(command=_api)

    migrate = commands.add_parser("migrate", help="bring the database up to date")
    looking = migrate.add_mutually_exclusive_group()
    looking.add_argument("--status", action="store_true", help="show what is applied and what is not; change nothing")
    looking.add_argument("--plan", action="store_true", help="print the SQL of what is pending; change nothing")
    looking.add_argument(
        "--verify", action="store_true", help="print how the schema differs from what the migrations make, if it does"
    )
    migrate.set_defaults(command=_migrate)

    notebooks = commands.add_parser("notebooks", help="serve the notebooks in JupyterLab")
    notebooks.add_argument("--reset", action="store_true", help="put the notebooks back as they were shipped, and end")
    notebooks.set_defaults(command=_notebooks)

    _add_report(commands)
    return parser


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = commands.add_parser("report", help="run every notebook and write a report of what they found")
    report.add_argument("--output", type=Path, default=Path("report"), metavar="DIR", help="where to (default: report)")
    ways = report.add_mutually_exclusive_group()
    ways.add_argument(
        "--compose", action="store_true", help="run them in the container, on a compose project that is gone afterwards"
    )
    ways.add_argument(
        "--rejudge", type=Path, metavar="DIR", help="run nothing: judge the report in DIR anew from its data, offline"
    )
    # What `--compose` tells the container, on standard input: it holds whole notebooks.
    report.add_argument("--host-view", action="store_true", help=argparse.SUPPRESS)
    report.set_defaults(command=_report)


# Each command imports what it needs: the API must not wait for JupyterLab's packages, nor have them.


def _up(options: argparse.Namespace) -> None:
    from beefirst.up import run

    run(ephemeral=options.ephemeral)


def _api(_: argparse.Namespace) -> None:
    # What is loaded stays: looking through it for garbage takes an eighth of the start, and later a request's time.
    gc.disable()
    settings, deployment = Settings.load(), DeploymentSettings.load()  # first: a refusal need not wait for the rest
    from beefirst.api.server import serve_api

    gc.freeze()
    gc.enable()
    serve_api(settings, deployment)


def _migrate(options: argparse.Namespace) -> None:
    from beefirst.database import status

    settings = Settings.load()
    # A database that does not answer is waited for, and somebody is waiting here.
    logging.basicConfig(level=settings.log_level, format="%(message)s")
    if options.verify:
        _tell_differences(asyncio.run(status.compare_schema(settings)))
        return
    look = status.describe if options.status else status.plan if options.plan else status.bring_up_to_date
    lines = asyncio.run(look(settings))
    for line in lines:
        print(line)
    if options.plan and not lines:
        print("Nothing is pending.", file=sys.stderr)  # what is piped on stays empty


def _tell_differences(differences: Sequence[str]) -> None:
    print(*differences or ["The schema is what the migrations make."], sep="\n")
    if differences:
        raise SchemaDriftError(
            "The schema is not what the migrations make: put back what they make (each file can be run again with "
            "psql -1 -f), and take out what was added."
        )


def _notebooks(options: argparse.Namespace) -> None:
    from beefirst.jupyter import readers_copy, serve

    if options.reset:
        print(readers_copy.reset())
    else:
        serve.serve(DeploymentSettings.load())


def _report(options: argparse.Namespace) -> None:
    if options.rejudge:
        from beefirst.evaluation.report.rejudge import rejudge

        rejudge(options.rejudge)
    else:
        _write_report(options)


def _write_report(options: argparse.Namespace) -> None:
    from beefirst.evaluation.report.compose import TAKE_DOWN_SECONDS, write_compose_report
    from beefirst.evaluation.report.host_view import HostView
    from beefirst.evaluation.report.write import write_report
    from beefirst.machine.processes import interrupt_once

    if options.compose:
        interrupt_once(TAKE_DOWN_SECONDS)
        write_compose_report(options.output)
        return
    interrupt_once()
    write_report(options.output, host=HostView.model_validate_json(sys.stdin.read()) if options.host_view else None)

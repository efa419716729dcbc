"""What pytest needs before the first test or notebook: a PostgreSQL, and folders that are not the reader's.

nbmake runs each notebook as one item without fixtures, so all of this goes through the environment, which
kernels and the workers of pytest-xdist inherit.
"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.jupyter.fast_import import skip_iri_grammar

skip_iri_grammar()  # nbmake imports nbformat after this

KERNEL_CONFIG = """
c = get_config()
c.InteractiveShell.colors = "NoColor"
c.Application.log_level = "ERROR"
"""

_resources = pytest.StashKey[ExitStack]()


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Let a run of everything use every core; a run of named files or notebooks stays in one process.

    There are as many workers as cores: all containers together get no more of a busy machine than one process beside
    them. A file stays on one worker, and what is collected first begins first: pytest-xdist would keep files with few
    tests for the end.
    """
    named = early_config.known_args_namespace
    has_xdist = early_config.pluginmanager.has_plugin("xdist")
    if has_xdist and not (named.file_or_dir or named.usepdb or named.numprocesses is not None):
        args += ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Prepare the environment, before pytest-xdist starts workers that inherit it."""
    if _is_worker(session.config) or session.config.option.collectonly:
        return
    with ExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="beefirst-pytest-")))
        profile = folder / "ipython" / "profile_default"
        profile.mkdir(parents=True)
        (profile / "ipython_kernel_config.py").write_text(KERNEL_CONFIG)
        os.environ["IPYTHONDIR"] = str(folder / "ipython")
        os.environ["BEEFIRST_DATA"] = str(folder / "data")
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # a kernel `python3` in the user's home is not this one
        os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
        if not os.environ.get("DATABASE_URL"):
            server = resources.enter_context(EmbeddedServer.start_ephemeral())
            os.environ["DATABASE_URL"] = server.url
        session.config.stash[_resources] = resources.pop_all()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server and remove the folders."""
    if _resources in config.stash:
        config.stash[_resources].close()

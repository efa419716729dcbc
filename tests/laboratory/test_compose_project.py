"""The compose file under a name of its own, where Docker does not do as it should; `tests/compose` has a real one."""

from pathlib import Path

import pytest

from beefirst.errors import ProcessError
from beefirst.laboratory import compose_project
from beefirst.laboratory.compose_project import ComposeProject, missing_engine
from tests.conftest import Run


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script that is found as docker; it does nothing, with success."""
    script = tmp_path / "bin" / "docker"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return script


NO_COMPOSE = "case $1 in compose) echo docker: unknown command >&2; exit 1;; esac"
NO_ENGINE = "case $1 in ps) echo Cannot connect to the Docker daemon >&2; exit 1;; esac"
HANGS = "case $1 in ps) exec sleep 600;; esac"


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        ("", ""),
        (NO_COMPOSE, "Compose v2 is not installed"),
        (NO_ENGINE, "no engine answers"),
        (HANGS, "no engine answers"),
    ],
    ids=["all there", "no compose", "no engine", "an engine that hangs"],
)
def test_what_is_missing_for_an_engine_is_said(
    docker: Path, monkeypatch: pytest.MonkeyPatch, script: str, missing: str
) -> None:
    monkeypatch.setattr(compose_project, "ENGINE_SECONDS", 60 if "sleep" not in script else 2)
    docker.write_text(f"#!/bin/sh\n{script}\n")

    assert missing_engine() == missing


@pytest.mark.parametrize("script", [NO_COMPOSE, NO_ENGINE, None], ids=["no compose", "no engine", "no docker"])
def test_a_report_without_an_engine_is_refused_in_one_line(
    beefirst: Run, docker: Path, tmp_path: Path, script: str | None
) -> None:
    docker.write_text(f"#!/bin/sh\n{script}\n")
    path = str(docker.parent) if script else str(tmp_path)
    result = beefirst("report", "--compose", PATH=f"{path}:{tmp_path}")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("beefirst: --compose takes Docker, and ")
    assert result.stderr.endswith(": see to that, or leave the option out.\n")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_a_command_that_ends_before_the_api_is_ready_is_told_with_its_last_words(tmp_path: Path) -> None:
    project = ComposeProject("sample", ("sh", "-c", "echo pulled; echo port is taken >&2; exit 1"), tmp_path)

    with (
        pytest.raises(ProcessError, match=r"ended before the API was ready: pulled port is taken$"),
        project.in_foreground(),
    ):
        pass


def test_what_cannot_be_taken_away_is_told_with_the_command_that_does(
    docker: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compose_project, "ROUNDS", 2)
    docker.write_text("#!/bin/sh\ncase $1 in ps) echo left;; compose) echo the engine is busy >&2; exit 1;; esac\n")
    project = ComposeProject("sample", folder=tmp_path)

    with pytest.raises(ProcessError, match=rf"busy\): docker compose --project-name {project.name} down --volumes$"):
        project.remove()


def test_what_an_engine_finishes_late_is_taken_away_as_well(docker: Path, tmp_path: Path) -> None:
    late, gone = tmp_path / "late", tmp_path / "gone"
    docker.write_text(
        f"#!/bin/sh\ncase $1 in\nps) if [ -e {late} ]; then [ -e {gone} ] || echo left; else touch {late}; fi;;\n"
        f"compose) touch {gone};;\nesac\n"
    )

    ComposeProject("sample", folder=tmp_path).remove()

    assert gone.exists()

"""A copy of the service's code can be changed anywhere, and runs with the change."""

import py_compile
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from beefirst.errors import ProcessError
from beefirst.laboratory.project_copy import NO_PART_OF_THE_SERVICE, ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT


def test_a_copy_holds_the_service_and_none_of_the_other_rooms() -> None:
    with ProjectCopy() as copy:
        held = {path.name for path in (copy.code / "beefirst").iterdir()}

    everything = {path.name for path in (CHECKOUT / "beefirst").iterdir()}
    assert everything - held == set(NO_PART_OF_THE_SERVICE)


def test_a_copy_runs_with_what_was_replaced_in_it(database: ScratchDatabase) -> None:
    with ProjectCopy() as copy:
        copy.replace("beefirst/api/health.py", '.get("/live"', '.get("/alive"')
        with copy.start(database.url) as api:
            api.wait_until_ready()

            answers = api.get("/health/alive").status_code, api.get("/health/live").status_code

    assert answers == (200, 404)


def test_what_is_replaced_is_not_run_from_a_compiled_file_that_nobody_checks() -> None:
    with ProjectCopy() as copy:
        file = copy.code / "beefirst" / "urls.py"
        compiled = Path(py_compile.compile(str(file), invalidation_mode=PycInvalidationMode.UNCHECKED_HASH) or "")
        assert compiled.exists()

        copy.replace("beefirst/urls.py", "class DatabaseUrl", "class AnotherUrl")

        assert not compiled.exists()


@pytest.mark.parametrize(("old", "found"), [("no such piece", "0 times"), ("import", "times")])
def test_a_piece_that_is_not_there_exactly_once_is_not_replaced(old: str, found: str) -> None:
    with ProjectCopy() as copy, pytest.raises(ValueError, match=f"exactly once, but holds it .*{found}"):
        copy.replace("beefirst/database/migrations.py", old, "")


def test_a_copy_that_starts_has_not_refused(database: ScratchDatabase) -> None:
    with ProjectCopy() as copy, pytest.raises(ProcessError, match="started where it was to refuse"):
        copy.refusal(database)

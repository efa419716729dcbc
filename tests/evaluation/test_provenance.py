"""What a report says of the checkout that it was made in."""

from pathlib import Path

import pytest

from beefirst.evaluation.report.provenance import NO_CHECKOUT, gather_provenance
from beefirst.laboratory.scratch_database import ScratchDatabase


@pytest.mark.parametrize(
    ("script", "commit"),
    [
        ("echo 'fatal: not a git repository (or any parent)' >&2; exit 128", NO_CHECKOUT),
        ("echo /somewhere/else", NO_CHECKOUT),
        ("echo 'fatal: dubious ownership' >&2; exit 128", "not known: git says 'fatal: dubious ownership'"),
    ],
    ids=["no repository", "another repository", "an error"],
)
def test_where_git_knows_no_commit_the_report_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: ScratchDatabase, script: str, commit: str
) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert gather_provenance(database.url)["commit"] == commit


def test_without_git_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: ScratchDatabase
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert gather_provenance(database.url)["commit"] == "not known: git is not installed"

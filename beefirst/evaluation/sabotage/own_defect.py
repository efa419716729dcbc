"""A defect that a reader writes herself, and what all notebooks say of a copy that has it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from beefirst.errors import ConfigurationError
from beefirst.evaluation.notebook_list import FIRST, find_notebooks
from beefirst.evaluation.records import Check, Record
from beefirst.evaluation.report.runner import CELL_SECONDS
from beefirst.evaluation.sabotage.judge import control_checks
from beefirst.evaluation.sabotage.outcomes import CRASH
from beefirst.evaluation.sabotage.suite import run_beside_each_other
from beefirst.evaluation.sabotage.trial import TooSlowError, Trial, Watch
from beefirst.laboratory.project_copy import WHOLE
from beefirst.laboratory.scratch_database import server_url
from beefirst.machine.folders import CHECKOUT, NOTEBOOKS

NOT_ASKED = (FIRST, "11_sabotage")
"""The notebook that runs the others, and the one that breaks the service."""


@dataclass(frozen=True)
class Finding:
    """What one notebook says of the copy.

    Attributes:
        notebook: its name.
        verdict: in words.
        failed: the checks that say FAIL because of what they saw, and nothing against an unharmed copy.
        stopped: why it could not judge; empty where it could.
        seconds: that it took.
    """

    notebook: str
    verdict: str
    failed: tuple[Check, ...]
    stopped: str
    seconds: float


def check_change(file: str, old: str) -> None:
    """Refuse a change that cannot be made.

    Args:
        file: its path in the checkout.
        old: what is to stand there, exactly once.

    Raises:
        ConfigurationError: there is no such file, or the text is not there exactly once; the message says which.
    """
    path = (CHECKOUT / file).resolve()
    if not (path.is_relative_to(CHECKOUT) and path.is_file() and path.relative_to(CHECKOUT).parts[0] in WHOLE):
        raise ConfigurationError(f"There is no file {file} here: name one as README.md or migrations/… are named.")
    if not old:
        raise ConfigurationError("There is no old text: copy a piece of the file that is to be replaced.")
    try:
        found = path.read_text(encoding="utf-8").count(old)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is no text: name a file that is.") from None
    if found != 1:
        raise ConfigurationError(
            f"{file} must hold the old text exactly once, and holds it {found} times: "
            + ("copy more of the lines around it." if found else "copy it from the file, with the spaces before it.")
        )


def try_own_defect(
    file: str,
    old: str,
    new: str,
    notebooks: Sequence[str] = (),
    progress: Callable[[Finding], object] = lambda _: None,
    workers: int = 0,
) -> list[Finding]:
    """Run notebooks on copies in which a piece of a file is replaced, and return what each says.

    Args:
        file: its path in the checkout.
        old: what stands there, exactly once.
        new: what is to stand there instead.
        notebooks: by name; all but NOT_ASKED where left out.
        progress: is called with each finding as it comes.
        workers: how many run at once; one for each core where left out.

    Raises:
        ConfigurationError: the change cannot be made, or there is no such notebook.
    """
    check_change(file, old)
    names = [path.stem for path in find_notebooks(NOTEBOOKS) if path.stem not in NOT_ASKED]
    if strangers := [name for name in notebooks if name not in names]:
        raise ConfigurationError(f"There is no notebook {strangers[0]} to ask; there are {', '.join(names)}.")
    server_url()  # before the workers would each start one
    jobs = [partial(_ask, file, old, new, name) for name in notebooks or names]
    return run_beside_each_other(jobs, progress, workers)


def _ask(file: str, old: str, new: str, notebook: str, watch: Watch) -> Finding:
    with Trial(watch) as trial:
        trial.copy.replace(file, old, new)
        path = Path(trial.folder, "notebooks", f"{notebook}.ipynb")
        try:
            run = trial.run(path, CELL_SECONDS)
        except TooSlowError as error:
            return Finding(notebook, "FAIL", (), str(error), CELL_SECONDS)
    failed = [check.key for check in run.record.checks if _is_judged(check)]
    unsound = control_checks(notebook, failed, watch).failures if failed else {}
    return make_finding(run.record, unsound, run.seconds)


def make_finding(record: Record, unsound: Mapping[str, str], seconds: float) -> Finding:
    """Return what a notebook's record says of the copy.

    Args:
        record: of its run on the copy.
        unsound: what its failed checks say against an unharmed copy, by id.
        seconds: that the run took.
    """
    judged = tuple(check for check in record.checks if _is_judged(check) and check.key not in unsound)
    said = [f"{key} fails on an unharmed copy, too: {why}" for key, why in unsound.items()] or [record.sentence]
    stopped = "" if judged or record.holds else "; ".join(said)
    return Finding(record.notebook, record.verdict, judged, stopped, seconds)


def _is_judged(check: Check) -> bool:
    return check.result == "FAIL" and not CRASH.search(check.evidence)

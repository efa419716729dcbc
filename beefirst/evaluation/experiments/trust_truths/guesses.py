"""How often a code can be guessed: truth 8."""

import pandas as pd

from beefirst.evaluation.display import charts
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.recording import record_answers
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for

WITHOUT_MAIL_SECONDS = 3600.0

GUESSES_A_DAY = 100
"""NIST SP 800-63B, 3.2.2: at most 100 consecutive failures; of 10,000 codes, a chance of 1 %."""


def _judge_guesses_at_once(
    answers: pd.DataFrame, claims: pd.DataFrame, afterwards: int, count: int, max_attempts: int
) -> Evidence:
    row = claims.iloc[0]
    rows = [
        ("wrong guesses sent at once, all with the right password", str(len(answers)), str(count)),
        ("answers", ", ".join(sorted({str(status) for status in answers["status"]})), "401"),
        ("different bodies among them", str(answers["body"].nunique()), "1"),
        ("guesses that were judged", str(row["attempts"]), str(max_attempts)),
        ("state", row["state"], "LOCKED"),
        ("hash", row["password hash"], "none"),
        ("answer to the right code after that", str(afterwards), "401"),
    ]
    return compare(f"{row['attempts']} of {count} guesses at once were judged, then {row['state']}", rows)


@experiment(_judge_guesses_at_once)
def guesses_at_once(testbed: Testbed, count: int = 100) -> Observed:
    """Send many different wrong guesses at one claim at the same moment, over all replicas."""
    email = "guessed@example.com"
    code = testbed.claim(email)
    guesses = [f"{number:04}" for number in range(count + 1) if f"{number:04}" != code][:count]
    answers = raw_http.send_at_once(testbed.urls, [raw_http.activating(email, PASSWORD, guess) for guess in guesses])
    claims = testbed.rows(email)
    return {
        "answers": record_answers(answers),
        "claims": claims,
        "afterwards": testbed.activate(email, PASSWORD, code).status_code,
        "count": count,
        "max_attempts": testbed.max_attempts,
    }


ROUNDS = ["hours", "claimed", "guesses", "a claim at once after", "minutes to wait"]


def _judge_day(rounds: pd.DataFrame, limit: int, hours: float) -> Evidence:
    total = int(rounds["guesses"].max()) if len(rounds) else 0
    refused = set(rounds["a claim at once after"]) <= {"refused", ""}
    over = total >= limit or rounds["hours"].iloc[-1] * 60 + rounds["minutes to wait"].iloc[-1] >= hours * 60
    summary = f"{total} guesses in {hours:g} hours: a chance of {total / 10_000:.1%}, where under 1 % is asked for"
    shown = rounds.round({"minutes to wait": 0})
    holds = 0 < total < limit and refused and over
    return Evidence(bool(holds), summary, shown, charts.guesses_in_a_day(rounds, limit))


@experiment(_judge_day)
def guesses_in_a_day(testbed: Testbed, limit: int = GUESSES_A_DAY, hours: float = 24) -> Observed:
    """Lock, claim anew and guess on, for as many rounds as the address's budgets allow in a day.

    Every statement is real; only the waiting is not: what the database remembers of the address is moved into the
    past by exactly as long as it makes the attacker wait.

    Args:
        testbed: where the address is.
        limit: how many guesses are too many, so that the attacker need not go on.
        hours: how much of the day the attacker takes.
    """
    email, clock, guesses, rows = "besieged@example.com", 0.0, 0, list[tuple[object, ...]]()
    while clock < hours * 3600 and guesses < limit:  # past that nothing can hold any more
        claimed, guessed, during, wait = _besiege(testbed, email)
        guesses += guessed
        rows.append((clock / 3600, claimed, guesses, during, wait / 60))
        clock += wait
        testbed.let_pass(email, wait)
    return {"rounds": pd.DataFrame(rows, columns=ROUNDS), "limit": limit, "hours": hours}


def _besiege(testbed: Testbed, email: str) -> tuple[str, int, str, float]:
    """Claim an address and guess until the claim is locked.

    Returns:
        Whether it could be claimed; the guesses; whether it could be claimed at once after; the seconds to wait then.
    """
    if not _claim_blindly(testbed, email):
        return "no: the day's mails are spent", 0, "", WITHOUT_MAIL_SECONDS
    guess = raw_http.activating(email, PASSWORD, wrong(testbed.stored_code(email)))
    raw_http.send_at_once(testbed.urls, [guess] * testbed.max_attempts)
    during = "claimed" if _claim_blindly(testbed, email) else "refused"
    return "yes", testbed.max_attempts, during, _seconds_of_cool_down(testbed, email)


def _claim_blindly(testbed: Testbed, email: str) -> bool:
    """Register, and tell whether that holds the address once the mail has gone out or was withheld."""
    mails = len(testbed.mailbox.wait_for(email, 0))
    testbed.register(email)

    def is_decided() -> bool:
        return len(testbed.mailbox.wait_for(email, 0)) > mails or testbed.state(email) != "CLAIMED"

    wait_for(is_decided, 10, 0.01)
    return len(testbed.mailbox.wait_for(email, 0)) > mails or testbed.state(email) == "CLAIMED"


def _seconds_of_cool_down(testbed: Testbed, email: str) -> float:
    ((seconds,),) = testbed.execute(
        "SELECT greatest(0, extract(epoch FROM cooling_until - clock_timestamp()))::float8 "
        "FROM address_budgets WHERE email = %(email)s",
        email=email,
    )
    return float(seconds)

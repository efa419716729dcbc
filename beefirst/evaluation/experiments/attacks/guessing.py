"""Guessing a code through replicas, and locking somebody out by it."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.attacks.people import ATTACKERS, VICTIMS, fresh
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.recording import digester
from beefirst.laboratory.testbed import Testbed

LONGEST_MINUTES = 60
"""A cool-down gets no longer."""

RACES = ["race", "guesses", "judged", "then", "anew at once", "code", "minutes of cool-down"]

BUDGET = "SELECT wrong_guesses FROM address_budgets WHERE email = %(email)s"
COOL_DOWN = """
    SELECT extract(epoch FROM cooling_until - guessed_at)::float8 / 60 FROM address_budgets WHERE email = %(email)s
"""


def _judge_races(races: pd.DataFrame, spent: int, max_attempts: int, replicas: int, count: int) -> Evidence:
    waits = [float(minutes) for minutes in races["minutes of cool-down"]]
    rows = [
        ("guesses sent in each race, over all replicas", _each(races["guesses"]), str(count)),
        ("guesses that were judged in each race", _each(races["judged"]), str(max_attempts)),
        ("state after each race", _each(races["then"]), "LOCKED"),
        ("a claim anew at each replica, right after", _each(races["anew at once"]), "no code mailed"),
        ("the claim's own code, right after", _each(races["code"]), "401"),
        ("guesses on the budget of the address", str(spent), str(max_attempts * len(races))),
        ("cool-downs", "double" if _double(waits) else f"{waits}", "double"),
    ]
    words = f"{int(races['guesses'].sum())} guesses raced through {replicas} replicas: {spent} judged"
    evidence = compare(words, rows)
    return Evidence(evidence.holds and replicas > 1 and len(races) > 1, evidence.claim, evidence.rows)


def _each(values: Sequence[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _double(waits: Sequence[float]) -> bool:
    return min(waits) > 0 and all(
        abs(later / min(2 * sooner, LONGEST_MINUTES) - 1) < 0.05 for sooner, later in pairwise(waits)
    )


@experiment(_judge_races)
def guesses_are_raced(testbed: Testbed, count: int = 24, races: int = 2) -> Observed:
    """Race wrong guesses at one claim through all replicas; wait the cool-down out, claim anew, and race again.

    Args:
        testbed: with several replicas.
        count: how many guesses are sent at once, all with the right password.
        races: how many claims are guessed at.
    """
    email = fresh("guessed")
    rows = [(number, *_race(testbed, email, count)) for number in range(1, races + 1)]
    ((spent,),) = testbed.execute(BUDGET, email=email)
    return {
        "races": pd.DataFrame(rows, columns=RACES),
        "spent": spent,
        "max_attempts": testbed.max_attempts,
        "replicas": len(testbed.apis),
        "count": count,
    }


def _wrong_codes(code: str, count: int) -> list[str]:
    return [guess for number in range(count + 1) if (guess := f"{number:04}") != code][:count]


def _race(testbed: Testbed, email: str, count: int) -> tuple[object, ...]:
    testbed.let_pass(email, 3600)
    code = testbed.claim(email, ATTACKERS)
    guesses = _wrong_codes(code, count)
    raw_http.send_at_once(testbed.urls, [raw_http.activating(email, ATTACKERS, guess) for guess in guesses])
    row, codes = testbed.row(email), testbed.codes_mailed(email)
    for replica in range(len(testbed.apis)):
        testbed.register(email, ATTACKERS, replica)
    status = testbed.activate(email, ATTACKERS, code).status_code
    refused = testbed.state(email) == "LOCKED" and testbed.codes_mailed(email) == codes
    ((minutes,),) = testbed.execute(COOL_DOWN, email=email) or [(0.0,)]
    return len(guesses), row["attempts"], row["state"], "no code mailed" if refused else "TAKEN", status, minutes or 0.0


LOCK_OUT = (
    # what the attacker does; the victim's row after it: attempts counted, state, and whether it is the same as before
    ("wrong passwords, each with a code", "0 counted, CLAIMED, unchanged"),
    ("the victim activates", "200"),
    ("against the account: wrong passwords", "0 counted, ACTIVE, unchanged"),
    ("against the account: the right password, wrong codes", "0 counted, ACTIVE, unchanged"),
    ("against the account: registrations", "0 counted, ACTIVE, unchanged"),
    ("guesses on the victim's budget", "0"),
)


def _judge_lock_out(steps: pd.DataFrame, count: int) -> Evidence:
    seen = dict(steps.itertuples(index=False, name=None))
    rows = [(what, seen.get(what, "not tried"), due) for what, due in LOCK_OUT]
    return compare(
        f"{count} requests at once and of each kind cost the victim nothing", rows, ["what", "seen", "expected"]
    )


@experiment(_judge_lock_out)
def nobody_is_locked_out(testbed: Testbed, count: int = 8) -> Observed:
    """Try to use up a victim's attempts: while the address is claimed, and once it is an account.

    Args:
        testbed: whose replicas are asked in turns.
        count: how many requests of each kind, all at once.
    """
    email, digest = fresh("locked-out"), digester()
    code = testbed.claim(email, VICTIMS)
    numbers = _wrong_codes(code, count)
    guessing = [raw_http.activating(email, ATTACKERS, guess) for guess in numbers]
    stolen = [raw_http.activating(email, VICTIMS, guess) for guess in numbers]
    claiming = [raw_http.registering(email, ATTACKERS)] * count

    def after(requests: Sequence[bytes]) -> str:
        before = digest(_whole_row(testbed, email))
        raw_http.send_at_once(testbed.urls, requests)
        row, same = testbed.row(email), digest(_whole_row(testbed, email)) == before
        return f"{row['attempts']} counted, {row['state']}, {'unchanged' if same else 'CHANGED'}"

    while_claimed = after(guessing)
    if testbed.state(email) == "CLAIMED":  # else it is the attacker's doing
        code = testbed.code_in_time(email, code, VICTIMS)
    seen = [while_claimed, str(testbed.activate(email, VICTIMS, code).status_code)]
    seen += [after(guessing), after(stolen), after(claiming)]
    spent = testbed.execute(BUDGET, email=email)
    seen.append(str(spent[0][0] if spent else 0))
    steps = [(what, found) for (what, _), found in zip(LOCK_OUT, seen, strict=True)]
    return {"steps": pd.DataFrame(steps, columns=["what", "seen"]), "count": count}


def _whole_row(testbed: Testbed, email: str) -> list[tuple[object, ...]]:
    return testbed.execute("SELECT * FROM registrations WHERE email = %(email)s", email=email)

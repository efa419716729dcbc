"""Notebook 06: an account comes to be step by step, with a real mail; and how a claim ends that is not proven."""

import time
from dataclasses import dataclass, field

import pandas as pd

from beefirst.evaluation.display.state_diagram import state_machine
from beefirst.evaluation.display.tables import Shown, answer, mail, terminal
from beefirst.evaluation.evidence import Evidence, compare, experiment
from beefirst.laboratory.running_service import find_named
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for
from beefirst.registration.credentials import CODE_DIGITS

ADA = "ada@example.com"
PATIENCE_SECONDS = 30

REGISTER = """curl -i -H 'Content-Type: application/json' \\
  -d '{{"email": "ada@example.com", "password": "correct horse"}}' \\
  {url}/v1/register"""
ACTIVATE = """curl -i -H 'Content-Type: application/json' \\
  -u 'ada@example.com:correct horse' -d '{{"code": "{code}"}}' \\
  {url}/v1/activate"""
LOGS = {
    "docker compose up": "docker compose logs --no-log-prefix api | grep 'DEMO MAIL'",
    "python -m beefirst up": "# look for the line with DEMO MAIL in the terminal in which `python -m beefirst up` runs",
}


@experiment
def registration_is_answered(testbed: Testbed) -> Evidence:
    """Register an address that is typed with a capital letter and a space too many, and look at the answer."""
    response = testbed.register(" Ada@example.com")
    rows = [
        ("status", response.status_code, 202),
        ("expires_in_seconds", response.json().get("expires_in_seconds"), testbed.ttl_seconds),
    ]
    evidence = compare(response.text, rows)
    return Evidence(evidence.holds, evidence.summary, evidence.rows, answer(response))


@experiment
def code_comes_by_mail(testbed: Testbed) -> Evidence:
    """Look at the mail as the mail server took it in."""
    code = testbed.mailbox.code_for(ADA)
    message = testbed.mailbox.wait_for(ADA)[0]
    digits = "yes" if len(code) == CODE_DIGITS and code.isdecimal() else "no"
    rows = [
        ("kind of text", message.get_content_type(), "text/plain"),
        ("a code of four digits", digits, "yes"),
    ]
    evidence = compare(f"{message['Subject']}: {message.get_content_type()}, four digits: {digits}", rows)
    return Evidence(evidence.holds, evidence.summary, evidence.rows, mail(message))


@experiment
def claim_is_dormant(testbed: Testbed, bcrypt_cost: int) -> Evidence:
    """Look at the row of the claim, without its secrets.

    Args:
        testbed: where the address is claimed.
        bcrypt_cost: at which its password must be hashed.
    """
    testbed.code_in_time(ADA, testbed.mailbox.code_for(ADA))
    row = testbed.row(ADA)
    seen = (row["state"], row["password hash"], row["activated at"])
    holds = seen == ("CLAIMED", f"bcrypt, cost {bcrypt_cost}", "")
    words = f"{seen[0]}, {seen[1]}, {f'activated at {seen[2]}' if seen[2] else 'not activated'}"
    return Evidence(holds, words, testbed.rows(ADA))


@experiment
def wrong_code_is_refused(testbed: Testbed) -> Evidence:
    """Try to activate with the right password and a wrong code."""
    code = testbed.code_in_time(ADA, testbed.mailbox.code_for(ADA))
    response = testbed.activate(ADA, PASSWORD, wrong(code))
    rows = [("status", str(response.status_code), "401"), ("state after it", testbed.state(ADA), "CLAIMED")]
    evidence = compare(f"wrong code: {response.status_code}", rows)
    return Evidence(evidence.holds, evidence.summary, evidence.rows, answer(response))


@experiment
def right_code_activates(testbed: Testbed) -> Evidence:
    """Activate with address, password and code, the address in another spelling."""
    code = testbed.code_in_time(ADA, testbed.mailbox.code_for(ADA))
    response = testbed.activate("Ada@Example.com", PASSWORD, code)
    state = testbed.state(ADA)
    rows = [("status", str(response.status_code), "200"), ("state after it", state, "ACTIVE")]
    evidence = compare(f"right code: {response.status_code}, then {state}", rows)
    return Evidence(evidence.holds, evidence.summary, evidence.rows, answer(response))


@dataclass
class WatchedAddress:
    """An address, and the states in which it has been seen.

    Attributes:
        testbed: where it is registered.
        email: normalised.
        states: in their order; a state in which it was seen again is not repeated.
    """

    testbed: Testbed
    email: str
    states: list[str] = field(default_factory=list)

    def look(self) -> pd.Series:
        """Return its row without secrets, and remember its state."""
        row = self.testbed.row(self.email)
        if not self.states or self.states[-1] != row["state"]:
            self.states.append(str(row["state"]))
        return row


@experiment
def unproven_claim_expires(address: WatchedAddress, patience_seconds: float = PATIENCE_SECONDS) -> Evidence:
    """Claim an address and watch it in real time; nobody activates, and the sweeper ends the claim.

    Args:
        address: free to be claimed.
        patience_seconds: how long past the claim's life to watch.
    """
    address.testbed.register(address.email)
    began, changes = time.monotonic(), list[tuple[object, ...]]()

    def has_expired() -> bool:
        row = address.look()[["state", "attempts", "password hash"]]
        if not changes or changes[-1][1:] != tuple(row):
            changes.append((round(time.monotonic() - began, 1), *row))
        return bool(row["state"] == "EXPIRED")

    wait_for(has_expired, address.testbed.ttl_seconds + patience_seconds, 0.05)
    frame = pd.DataFrame(changes, columns=["second", "state", "attempts", "password hash"])
    end = frame.iloc[-1]
    summary = f"{end['state']} {end['second']:.1f} s after the claim; hash: {end['password hash']}"
    return Evidence((end["state"], end["password hash"]) == ("EXPIRED", "none"), summary, frame)


@experiment
def guessed_claim_is_locked(address: WatchedAddress) -> Evidence:
    """Claim the address, and enter as many wrong codes as the claim allows, with the right password."""
    testbed = address.testbed
    code = testbed.claim(address.email)
    address.look()
    answers = testbed.lock(address.email, PASSWORD, code)
    row = address.look()
    rows = [
        ("answers", ", ".join(sorted({str(status) for status in answers})), "401"),
        ("attempts that were counted", str(row["attempts"]), str(testbed.max_attempts)),
        ("state", row["state"], "LOCKED"),
        ("password hash", row["password hash"], "none"),
    ]
    return compare(f"{row['attempts']} attempts, then {row['state']}; hash: {row['password hash']}", rows)


@experiment
def address_is_free_again(address: WatchedAddress) -> Evidence:
    """Claim the address anew once it has cooled down, activate it, and look at the whole path that it took."""
    testbed, password = address.testbed, "another horse"
    code = testbed.claim_when_free(address.email, password)
    address.look()
    testbed.activate(address.email, password, code)
    address.look()
    holds = address.states == ["CLAIMED", "EXPIRED", "CLAIMED", "LOCKED", "CLAIMED", "ACTIVE"]
    return Evidence(holds, " → ".join(address.states), picture=state_machine(address.states))


def commands_by_hand() -> Shown:
    """Return the three commands for the running service, ready to be copied."""
    service = find_named()
    if not service:
        return terminal(["# start the service first: docker compose up, or python -m beefirst up"])
    url = service.browser_url
    return terminal([REGISTER.format(url=url), LOGS[service.way], ACTIVATE.format(url=url, code="1234")])

"""The service beside its OpenAPI document: requests that schemathesis makes of it, judged by all of its checks."""

import base64
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import schemathesis
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from schemathesis.engine import from_schema
from schemathesis.engine.events import ScenarioFinished

from beefirst.errors import AddressRefusedError, PasswordRefusedError
from beefirst.laboratory.testbed import wrong
from beefirst.registration.credentials import PASSWORD_MIN_CHARACTERS, check_password, normalise_address
from tests.support.fuzzing import Fuzzer
from tests.support.watched_service import HANGING_SECONDS, WatchedService

VALID, INVALID = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


def is_accepted(rule: Callable[[str], str], text: str) -> bool:
    try:
        return bool(rule(text))
    except (AddressRefusedError, PasswordRefusedError):
        return False


is_address, is_password = partial(is_accepted, normalise_address), partial(is_accepted, check_password)


def is_sound(body: Any) -> bool:
    """Tell whether this is a registration to be accepted: schemathesis takes some passwords for wrong that are not."""
    texts = [body.get(name) for name in ("email", "password")] if isinstance(body, dict) else [None]
    return all(isinstance(text, str) for text in texts) and is_address(texts[0]) and is_password(texts[1])


# JSON Schema counts characters and not bytes, and knows neither domains for special use nor common passwords.
schemathesis.openapi.format("email", st.emails().filter(is_address))
schemathesis.openapi.format("password", st.text(min_size=PASSWORD_MIN_CHARACTERS, max_size=72).filter(is_password))


@pytest.fixture(scope="module")
def operations(service: WatchedService) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    found = (result.ok() for result in schema.get_all_operations())
    return {operation.label: operation for operation in found}


def made_from(operations: dict[str, Any], mode: schemathesis.GenerationMode) -> st.SearchStrategy[schemathesis.Case]:
    """Return requests of any operation that can be made so: one without a body knows no invalid data."""
    able = [some for some in operations.values() if mode is VALID or some.method == "post"]
    return st.one_of([some.as_strategy(generation_mode=mode) for some in able])


@pytest.mark.parametrize("mode", [VALID, INVALID], ids=["valid", "invalid"])
def test_requests_are_accepted_or_refused_as_documented(
    service: WatchedService, operations: dict[str, Any], fuzz: Fuzzer, mode: schemathesis.GenerationMode
) -> None:
    def answer_is_as_documented(case: schemathesis.Case) -> None:
        assume(mode is VALID or not is_sound(case.body))
        case.call_and_validate()
        service.check()

    fuzz.run(answer_is_as_documented, made_from(operations, mode))


def test_what_the_document_makes_worth_trying_is_answered_as_documented(service: WatchedService) -> None:
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    schema.config.phases.fuzzing.enabled = schema.config.phases.stateful.enabled = False

    recorders = [event.recorder for event in from_schema(schema).execute() if isinstance(event, ScenarioFinished)]

    checks = [check for recorder in recorders for made in recorder.checks.values() for check in made]
    assert {"unsupported_method", "ignored_auth", "negative_data_rejection"} <= {check.name for check in checks}
    assert [str(check.failure_info.failure) for check in checks if check.failure_info] == []
    service.check()


SLOTS = st.integers(0, 2)
SPELLINGS = st.sampled_from([str, str.upper, str.title, str.swapcase, "  {}\t".format])


@dataclass
class Account:
    """What is known of one address."""

    address: str
    state: str = "none"
    password: str = ""
    code: str = ""
    guesses: int = 0


class AccountsBesideTheDocument(RuleBasedStateMachine):
    """Accounts come to be with passwords and addresses of schemathesis, and codes that came by mail."""

    service: WatchedService
    operations: dict[str, Any]
    fuzz: Fuzzer
    registering: st.SearchStrategy[schemathesis.Case]
    anything: st.SearchStrategy[schemathesis.Case]
    numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[int, Account] = {}

    @rule(slot=SLOTS, data=st.data(), spell=SPELLINGS)
    def register(self, slot: int, data: st.DataObject, spell: Callable[[str], str]) -> None:
        case = data.draw(self.registering)
        account = self.accounts.setdefault(slot, Account(unused(case.body["email"], next(self.numbers))))
        case.body["email"] = spell(account.address)
        with self.fuzz.trying():
            assert case.call_and_validate().status_code == 202
            if account.state == "none":
                account.code = self.service.testbed.mailbox.code_for(account.address, seconds=HANGING_SECONDS)
                account.state, account.password = "CLAIMED", case.body["password"]
            self.look(account)

    @rule(slot=SLOTS, right_code=st.booleans(), right_password=st.booleans(), spell=SPELLINGS)
    def activate(self, slot: int, right_code: bool, right_password: bool, spell: Callable[[str], str]) -> None:
        account = self.accounts.get(slot)
        if not account:
            return
        password = account.password if right_password else "x" + account.password[:-1]
        code = account.code if right_code else wrong(account.code)
        user = f"{spell(account.address)}:{password}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(user).decode()}"}
        case = self.operations["POST /v1/activate"].Case(
            body={"code": code}, headers=headers, media_type="application/json"
        )
        is_judged = account.state == "CLAIMED" and password == account.password
        with self.fuzz.trying():
            answer = case.call_and_validate()
            assert (answer.status_code == 200) == (is_judged and right_code)
            if is_judged:
                account.guesses += not right_code
                account.state = "ACTIVE" if right_code else "LOCKED" if account.guesses == 3 else "CLAIMED"
            self.look(account)

    @rule(data=st.data())
    def ask_for_anything(self, data: st.DataObject) -> None:
        case = data.draw(self.anything)
        with self.fuzz.trying():
            case.call_and_validate()

    def look(self, account: Account) -> None:
        assert self.service.testbed.state(account.address) == account.state
        self.service.check(account.password)


def unused(address: str, number: int) -> str:
    """Return an address like another in which nobody has an account yet."""
    local, _, domain = address.rpartition("@")
    like = f"{number}{local[:40].rstrip('.')}@{domain}"
    return normalise_address(like if is_address(like) else f"{number}@example.com")


def test_accounts_come_to_be_by_the_code_that_was_mailed_and_by_nothing_else(
    service: WatchedService, operations: dict[str, Any], fuzz: Fuzzer
) -> None:
    class Machine(AccountsBesideTheDocument):
        pass

    Machine.service, Machine.operations, Machine.fuzz = service, operations, fuzz
    Machine.registering = operations["POST /v1/register"].as_strategy(generation_mode=VALID)
    Machine.anything = made_from(operations, VALID) | made_from(operations, INVALID)

    fuzz.run_machine(Machine, steps=8)

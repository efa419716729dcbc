"""The list of passwords that everybody tries first, and that all of it is refused."""

import pytest

from beefirst.errors import PasswordRefusedError
from beefirst.registration.common_passwords import LIST, common_passwords
from beefirst.registration.credentials import check_password
from tests.tools.list_common_passwords import make_list

REQUIRED = 3000
"""OWASP ASVS 5.0, 6.2.4: the most common of those that the other rules allow."""

RANKED = LIST.read_text().partition("\n\n")[2].splitlines()


def is_refused_as_common(password: str) -> bool:
    try:
        check_password(password)
    except PasswordRefusedError as refusal:
        return str(refusal) == "must not be one of the most common passwords"
    return False


@pytest.mark.parametrize("spell", [str, str.upper, str.capitalize], ids=["as listed", "in capitals", "capitalised"])
def test_the_most_common_that_no_other_rule_refuses_are_refused(spell: type[str]) -> None:
    assert [password for password in RANKED[:REQUIRED] if not is_refused_as_common(spell(password))] == []
    assert len(set(RANKED[:REQUIRED])) == REQUIRED


def test_so_are_all_the_others_of_the_list() -> None:
    assert len(RANKED) > 11_000
    assert common_passwords() == set(RANKED)
    assert all(map(is_refused_as_common, RANKED))


def test_the_list_is_what_is_made_of_the_package_that_it_names() -> None:
    assert LIST.read_text() == make_list()
    assert "Permission is hereby granted" in LIST.read_text()

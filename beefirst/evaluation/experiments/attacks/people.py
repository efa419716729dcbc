"""Whom the attacks are about, and every password that is used in them: the last of them looks for each."""

import secrets

from beefirst.laboratory import address_kinds, hostile_requests
from beefirst.laboratory.testbed import PASSWORD

VICTIMS = "the victim's own horse"
ATTACKERS = "the attacker's horse"
SPRAYED = "a horse for everybody"
INJECTED = "a horse\r\nwith two lines"

PASSWORDS = (
    PASSWORD,
    VICTIMS,
    ATTACKERS,
    SPRAYED,
    INJECTED,
    address_kinds.WRONG_PASSWORD,
    hostile_requests.PASSWORD,
)


def fresh(name: str) -> str:
    """Return an address that nobody has claimed yet, also where a cell is run anew."""
    return f"{name}-{secrets.token_hex(4)}@attacks.example"

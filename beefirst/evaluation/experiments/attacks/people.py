"""Whom the attacks are about, and every password that is used in them: the last of them looks for each."""

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

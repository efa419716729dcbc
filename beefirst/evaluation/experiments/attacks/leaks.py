"""What logs, figures and health give away, once all attacks are over."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
from psycopg.conninfo import conninfo_to_dict

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.attacks.people import PASSWORDS, VICTIMS, fresh
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.mail_server import text_of
from beefirst.laboratory.mailbox import CODE
from beefirst.laboratory.secret_search import find_secrets
from beefirst.laboratory.testbed import Testbed

PATHS = ("/metrics", "/health", "/health/live", "/health/ready", "/health/startup")

KINDS = ("passwords", "codes", "hashes", "addresses", "the database's password")

LEAST = {"passwords": 5, "codes": 5, "hashes": 2, "addresses": 5, "the database's password": 1}
"""Fewer were not worth a search."""

NUMBERS = re.compile(
    r"""^\S+\ \S+                                # the time
    | (127\.0\.0\.1|localhost):\d+ | \bport(=|:\ ')\d+
    | \bserver\ process\ \[\d+\]
    | \b(request|registration)="[^"]*" | 0x[0-9a-f]+
    | "[A-Z]+\ [^"]*"                          # a request line, in which nobody sends a code
    """,
    re.MULTILINE | re.VERBOSE,
)
"""What of a log may be four digits by chance."""

HASHES = "SELECT password_hash FROM registrations WHERE password_hash IS NOT NULL"
ADDRESSES = "SELECT email FROM registrations UNION SELECT email FROM address_budgets"


def _judge_leaks(found: pd.DataFrame, planted: pd.DataFrame, places: Sequence[str], lines: int) -> Evidence:
    counts = found.groupby("kind")["searched"].max().to_dict()
    rows = [(place, _number(counts), _leaks(found, "place", place), "nothing") for place in places]
    rows += [
        (f"all of them: {kind}", str(counts.get(kind, 0)), _leaks(found, "kind", kind), "nothing") for kind in KINDS
    ]
    rows.append(
        ("a text into which one of each was put", _number(counts), _kinds_found(planted), ", ".join(sorted(KINDS)))
    )
    enough = all(counts.get(kind, 0) >= least for kind, least in LEAST.items())
    words = (
        f"{_number(counts)} secrets, in several spellings, in {lines} lines of log and {len(places)} places: none found"
    )
    evidence = compare(words, rows, ["where", "searched for", "found", "expected"])
    return replace(evidence, holds=evidence.holds and enough and lines > 0)


def _number(counts: Mapping[str, int]) -> str:
    return str(sum(counts.values()))


def _leaks(found: pd.DataFrame, column: str, value: str) -> str:
    rows = found[(found[column] == value) & (found["found"] != "")]
    return "; ".join(f"{row.kind} in {row.place}, {row.found}" for row in rows.itertuples()) or "nothing"


def _kinds_found(planted: pd.DataFrame) -> str:
    return ", ".join(sorted(planted[planted["found"] != ""]["kind"]))


@experiment(_judge_leaks)
def nothing_is_given_away(testbed: Testbed) -> Observed:
    """Search logs, figures and health for every secret of the attacks, however it is spelled.

    The log of each replica is that of LOG_LEVEL=DEBUG, if the testbed's is. A registration and an activation are made
    for it, so that there is something to be searched for whatever came before.
    """
    email = fresh("last")
    testbed.activate(email, VICTIMS, testbed.claim(email, VICTIMS))
    secrets = _secrets(testbed)
    texts = {
        f"replica {number}: {path}": text
        for number, api in enumerate(testbed.apis, start=1)
        for path, text in {"its log": api.log(), **{path: api.get(path).text for path in PATHS}}.items()
    }
    planted = {"a text": " ".join(values[0] for values in secrets.values())}
    return {
        "found": _search(secrets, texts),
        "planted": _search(secrets, planted),
        "places": [*texts],
        "lines": sum(len(text.splitlines()) for place, text in texts.items() if "log" in place),
    }


def _secrets(testbed: Testbed) -> Mapping[str, Sequence[str]]:
    mails = [text_of(mail) for mail in testbed.mailbox.messages]
    told = conninfo_to_dict(testbed.database.url)
    user, password = told["user"], told.get("password", "")
    return {
        "passwords": PASSWORDS,
        "codes": sorted({code for mail in mails for code in CODE.findall(mail)}),
        "hashes": [value for (value,) in testbed.execute(HASHES)],
        "addresses": [value for (value,) in testbed.execute(ADDRESSES)],
        # By itself it may be a word that stands everywhere: the default is the service's own name.
        "the database's password": [f"{user}:{password}@", f"password={password}"],
    }


def _search(secrets: Mapping[str, Sequence[str]], texts: Mapping[str, str]) -> pd.DataFrame:
    others = {kind: values for kind, values in secrets.items() if kind != "codes"}
    return pd.concat([find_secrets(others, texts), find_codes(secrets["codes"], texts)])


def find_codes(codes: Sequence[str], texts: Mapping[str, str]) -> pd.DataFrame:
    """Search for codes, as words of their own, where a number has no other business.

    Args:
        codes: of four digits each.
        texts: by place.

    Returns:
        One line for each place, as of `find_secrets`.
    """
    rows = []
    for place, text in texts.items():
        words = set(re.findall(r"(?<![\w.])\d{4}(?!\w|\.\w)", NUMBERS.sub(" ", text)))
        rows.append((place, "codes", len(codes), "as it is" if words & {*codes} else ""))
    return pd.DataFrame(rows, columns=["place", "kind", "searched", "found"])

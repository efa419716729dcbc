"""One registration and one activation as traces: where their time goes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from beefirst.evaluation.display.waterfall import waterfall
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.secret_search import find_secrets
from beefirst.laboratory.testbed import PASSWORD, Testbed
from beefirst.laboratory.trace_collector import TraceCollector

REGISTER, ACTIVATE = "POST /v1/register", "POST /v1/activate"
HASH = "bcrypt hash"

PROMISED: dict[str, dict[str, str]] = {
    # The spans of each, in the order in which they begin, and of what each is a part.
    REGISTER: {
        REGISTER: "",
        "bcrypt queue": REGISTER,
        HASH: REGISTER,
        "even out": REGISTER,
        "CLAIM_ADDRESS": "even out",
        "mail": REGISTER,
    },
    ACTIVATE: {
        ACTIVATE: "",
        "FIND_CLAIM": ACTIVATE,
        "bcrypt queue": ACTIVATE,
        HASH: ACTIVATE,
        "even out": ACTIVATE,
        "JUDGE_CODE": "even out",
    },
}
AFTER_THE_ANSWER = "mail"

ROUNDS = 3
"""How many accounts are made: on a busy machine one may be kept waiting where no span says so."""

MOST_UNEXPLAINED = 0.2
"""Of a request's time, what its spans may leave open, in the round in which they leave the least."""

CLOSE_SECONDS = 0.001
"""Two clocks that a span is measured by may differ by less."""

SOON_MILLISECONDS = 50
"""After which the service sends its spans, which otherwise are kept for five seconds."""

HASHES = "SELECT password_hash FROM registrations WHERE password_hash IS NOT NULL"


def _judge(spans: pd.DataFrame, statuses: Sequence[int], secrets: pd.DataFrame, rounds: int) -> Evidence:
    told = [_Told(spans[spans["trace"] == trace]) for trace in dict.fromkeys(spans["trace"])]
    doubts = [doubt for each in told for doubt in each.doubts()]
    traces = {name: sum(each.name == name for each in told) for name in PROMISED}
    doubts += [f"{name}: {count} traces of {rounds} requests" for name, count in traces.items() if count != rounds]
    if list(statuses) != [202, 200] * rounds:
        doubts.append(f"statuses {', '.join(map(str, statuses))}")
    doubts += [f"{row.kind} in {row.place} ({row.found})" for row in secrets.itertuples() if row.found]
    if doubts:
        return Evidence(False, "; ".join(dict.fromkeys(doubts)), _lines(told))
    best = [min((each for each in told if each.name == name), key=lambda each: each.unexplained) for name in PROMISED]
    holds = all(each.unexplained <= MOST_UNEXPLAINED and each.longest == HASH for each in best)
    rows, words = _lines(best), "; ".join(each.sentence() for each in best)
    return Evidence(holds, words, rows, waterfall(rows, words))


class _Told:
    """What the spans of one trace tell."""

    def __init__(self, spans: pd.DataFrame) -> None:
        self.spans = spans.sort_values("begin", ignore_index=True)
        roots = spans[spans["parent"] == ""]
        self.name = str(roots["span"].iloc[0]) if len(roots) == 1 else "a trace without one beginning"

    def doubts(self) -> list[str]:
        """Return in what they differ from what is promised of such a request."""
        promised = PROMISED.get(self.name)
        if promised is None:
            return [f"{self.name} is nothing that was asked for"]
        names = dict(zip(self.spans["id"], self.spans["span"], strict=True))
        seen = {row.span: names.get(row.parent, "") for row in self.spans.itertuples()}
        if len(seen) != len(self.spans) or list(seen.items()) != list(promised.items()):
            parts = ", ".join(f"{name} in {parent}" if parent else name for name, parent in seen.items())
            return [f"{self.name} has the spans {parts}"]
        return [f"{self.name}: {name} is not within {promised[name]}" for name in promised if not self._is_within(name)]

    def _is_within(self, name: str) -> bool:
        own, parent = self._span(name), PROMISED[self.name][name]
        if not parent:
            return True
        around = self._span(parent)
        if name == AFTER_THE_ANSWER:
            return bool(own["begin"] >= around["end"] - CLOSE_SECONDS)
        begins_late = own["begin"] >= around["begin"] - CLOSE_SECONDS
        return bool(begins_late and own["end"] <= around["end"] + CLOSE_SECONDS)

    def _span(self, name: str) -> pd.Series:
        return self.spans[self.spans["span"] == name].iloc[0]

    def share(self, name: str) -> float:
        """Return how much of the request's time a span is."""
        own, whole = self._span(name), self._span(self.name)
        return float((own["end"] - own["begin"]) / (whole["end"] - whole["begin"]))

    @property
    def _parts(self) -> list[str]:
        return [name for name, parent in PROMISED[self.name].items() if parent == self.name != name != AFTER_THE_ANSWER]

    @property
    def longest(self) -> str:
        """What takes most of the request's time."""
        return max(self._parts, key=self.share)

    @property
    def unexplained(self) -> float:
        """How much of the request's time is in none of the spans right below it."""
        return 1 - sum(self.share(name) for name in self._parts)

    def sentence(self) -> str:
        """Return where the time goes, in a few words."""
        whole, verb = self._span(self.name), self.name.rpartition("/")[2]
        total = (whole["end"] - whole["begin"]) * 1000
        return f"{verb}: {total:.0f} ms, {self.share(HASH):.0%} the hash, {self.unexplained:.0%} in no span"

    def lines(self) -> pd.DataFrame:
        """Return a line for each span, each below the one that it is a part of."""
        began, depths = self.spans["begin"].min(), dict[str, int]()
        for row in self.spans.itertuples():
            depths[row.id] = depths.get(row.parent, -1) + 1
        return pd.DataFrame(
            {
                "request": self.name,
                "span": self.spans["span"],
                "depth": [depths[number] for number in self.spans["id"]],
                "begins": ((self.spans["begin"] - began) * 1000).round(2),
                "takes": ((self.spans["end"] - self.spans["begin"]) * 1000).round(2),
            }
        )


def _lines(told: Sequence[_Told]) -> pd.DataFrame:
    return pd.concat([each.lines() for each in told], ignore_index=True) if told else pd.DataFrame()


@experiment(_judge)
def one_registration_traced(rounds: int = ROUNDS, **settings: Any) -> Observed:
    """Start an API that sends its traces here, make accounts one after another, and look at the spans of each request.

    Args:
        rounds: how many accounts; the one in which the spans leave the least time open is drawn.
        settings: of the API.
    """
    with TraceCollector() as collector:
        traced = {"otel_exporter_otlp_endpoint": collector.url, "otel_bsp_schedule_delay": SOON_MILLISECONDS}
        with Testbed(**{**traced, **settings}) as testbed:
            emails = [f"ada{number}@example.com" for number in range(rounds)]
            statuses, codes = list[int](), list[str]()
            for email in emails:
                statuses.append(testbed.register(email).status_code)
                codes.append(testbed.mailbox.code_for(email))
                statuses.append(testbed.activate(email, PASSWORD, codes[-1]).status_code)
            hashes = [value for (value,) in testbed.execute(HASHES)]
            testbed.apis[0].stop()  # which sends what is left
            secrets = {"addresses": emails, "passwords": [PASSWORD], "hashes": hashes}
            found = _search(secrets, codes, collector.texts())
    return {"spans": collector.spans(), "statuses": statuses, "secrets": found, "rounds": rounds}


def _search(secrets: Mapping[str, Sequence[str]], codes: Sequence[str], texts: Mapping[str, str]) -> pd.DataFrame:
    """Search all that came; for codes only where four digits are no part of an id."""
    words = set(re.findall(r"(?<![\w.-])\d{4}(?![\w.-])", texts["what spans say"]))
    found = "as it is" if words & {*codes} else ""
    by_code = pd.DataFrame(
        [("what spans say", "codes", len(codes), found)], columns=["place", "kind", "searched", "found"]
    )
    return pd.concat([find_secrets(secrets, texts), by_code], ignore_index=True)

"""Input that no well-meant client sends."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.attacks.people import fresh
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.hostile_requests import Hostile, hostile_requests
from beefirst.laboratory.testbed import PASSWORD, Testbed

COUNT = "beefirst_request_seconds_count"
NO_ANSWER = "no answer, for the client hung up"
TALKS = ["area", "request", "answer", "due"]


def _judge_answers(talks: pd.DataFrame, errors: Sequence[str], afterwards: Sequence[str]) -> Evidence:
    known = [(it.area, it.what) for it in hostile_requests()] == [*zip(talks["area"], talks["request"], strict=True)]
    alike = talks.groupby(["area", "answer", "due"], sort=False)["request"].agg(["size", "; ".join]).reset_index()
    rows = [(area, said, count, seen, due) for area, seen, due, count, said in alike.itertuples(index=False)]
    rows += [
        ("afterwards", "answers of status 5xx that the service has counted", 1, ", ".join(errors) or "none", "none"),
        ("afterwards", "each replica: ready, registering, activating", 1, ", ".join(afterwards), "200, 202, 200"),
    ]
    words = f"{len(talks)} hostile requests, each answered as it should be; none by a 5xx, and the service goes on"
    evidence = compare(words, rows, ["area", "requests", "count", "answer", "expected"])
    return replace(evidence, holds=evidence.holds and known)


@experiment(_judge_answers)
def hostile_input_is_refused(testbed: Testbed) -> Observed:
    """Send every one of `hostile_requests`, and use the service as ever after that."""
    requests, before = hostile_requests(), _server_errors(testbed)
    statuses = raw_http.converse(testbed.urls, [(it.content, it.unfinished) for it in requests])
    talks = [(it.area, it.what, _say(heard), _due(it)) for it, heard in zip(requests, statuses, strict=True)]
    return {
        "talks": pd.DataFrame(talks, columns=TALKS),
        "errors": sorted(_server_errors(testbed) - before),
        "afterwards": sorted({_use(testbed, replica) for replica in range(len(testbed.apis))}),
    }


def _say(statuses: Sequence[int]) -> str:
    return (
        ", then ".join(str(status) if status else "NOTHING, and the connection stays" for status in statuses)
        or NO_ANSWER
    )


def _due(request: Hostile) -> str:
    return request.answers.replace(" ", ", then ") or NO_ANSWER


def _server_errors(testbed: Testbed) -> set[str]:
    """Return what each replica has counted so far; a busy machine may have told others before to come again."""
    told = ((api.url, api.get("/metrics").text.splitlines()) for api in testbed.apis)
    counted = ((url, line) for url, lines in told for line in lines if line.startswith(COUNT))
    return {f"{url}: {line}" for url, line in counted if 'status="5' in line}


def _use(testbed: Testbed, replica: int) -> str:
    email = fresh("well-meant")
    registered = testbed.register(email, PASSWORD, replica).status_code
    activated = testbed.activate(email, PASSWORD, testbed.mailbox.code_for(email), replica).status_code
    return f"{testbed.apis[replica].get('/health/ready').status_code}, {registered}, {activated}"

"""What is sent as hostile is as hostile as it says."""

from beefirst.laboratory.hostile_requests import END, SENTINEL, hostile_requests


def test_there_are_many_and_no_two_are_alike() -> None:
    requests = hostile_requests()

    assert len(requests) > 40
    assert len({(it.area, it.what) for it in requests}) == len({it.content for it in requests}) == len(requests)


def test_who_smuggles_sends_two_lengths_and_another_request() -> None:
    smuggled = [it.content for it in hostile_requests() if it.what.startswith("smuggling")]

    assert len(smuggled) == 3
    assert all(content.endswith(END + SENTINEL) for content in smuggled)


def test_nothing_is_due_only_where_the_client_hangs_up() -> None:
    assert [it.what for it in hostile_requests() if it.unfinished == bool(it.answers)] == []

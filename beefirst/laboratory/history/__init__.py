"""Histories: what clients asked and were answered, and whether some order of their calls explains it all.

Record while the clients work, whatever happens to the service meanwhile, and judge later from the data alone:

    recorder = Recorder(DatabaseClock.measure(connection), ttl_seconds=60, max_attempts=3)
    ada, bob = recorder.client("ada", urls), recorder.client("bob", urls)
    at_once([lambda: ada.register(email, password), lambda: bob.register(email, password, replica=1)])
    with recorder.fault("the database restarts"):
        ...                                       # clients go on; none of their methods raises where no answer comes
    code = recorder.collect_mail(mailbox)[email]  # the newest code of each address; asks what has come so far
    ada.activate(email, password, code)
    recorder.read_rows(connection)                # the final rows
    data = recorder.history().to_data()           # plain JSON, which an experiment returns as one observation

    verdict = judge_history(History.from_data(data))
    verdict.holds, verdict.sentence, verdict.lost, verdict.invented, verdict.hashes_kept, verdict.findings

`calls` has the data, `recorder` and `clients` record it, `model` says what one call does, `linearizability` looks for
an order of the calls of one address, `conflict` for the least that none explains, and `judgement` says what all of it
shows. A history that is too long for the search is undecided, and does not hold: let few calls of an address, some ten,
stay without an answer where mail may fail, and rather use more addresses. Each must be one that nobody claimed before.
"""

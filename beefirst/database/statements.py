"""The SQL of registrations and of their addresses' budgets: a change is one statement, and all time the database's.

What a parameter means, and who runs a statement: see `registrations.RegistrationStore`.

LIKE stands where a row is found by its id or address: with = PostgreSQL may take the index of all claims instead, as it
does on a table that is empty, and keep that plan while the table grows.
"""

# Claims the address where `can_be_claimed` says so, and books the mail that is to follow.
CLAIM_ADDRESS = """
    WITH claimed AS (
        INSERT INTO registrations AS held (email, password_hash, verification_code, created_at)
        SELECT %(email)s::text, %(password_hash)s::text, %(code)s::text, clock_timestamp()
         WHERE can_be_claimed(%(email)s::text, NULL, NULL, make_interval(secs => %(ttl_seconds)s))
            ON CONFLICT (email) DO UPDATE
           SET state             = 'CLAIMED',
               password_hash     = excluded.password_hash,
               verification_code = excluded.verification_code,
               attempt_count     = 0,
               created_at        = clock_timestamp(),
               activated_at      = NULL
         WHERE can_be_claimed(held.email, held.state, held.created_at, make_interval(secs => %(ttl_seconds)s))
        RETURNING held.id, held.email, held.password_hash
    ), booked AS (
        INSERT INTO address_budgets AS budget (email, mailed_at)
        SELECT email, ARRAY[clock_timestamp()]
          FROM claimed
            ON CONFLICT (email) DO UPDATE
           SET mailed_at  = mails_of_a_day(budget.mailed_at) || excluded.mailed_at,
               touched_at = clock_timestamp()
         WHERE cardinality(mails_of_a_day(budget.mailed_at)) < %(mails_a_day)s
        RETURNING mailed_at[cardinality(mailed_at)] AS mailed_at
    )
    SELECT id, email, password_hash, mailed_at
      FROM claimed
      LEFT JOIN booked ON TRUE
"""

# Reads without a lock whom a password is to be checked against.
FIND_CLAIM = """
    SELECT id, email, password_hash
      FROM registrations
     WHERE email = %(email)s
       AND state LIKE 'CLAIMED'
       AND password_hash IS NOT NULL
       AND created_at > clock_timestamp() - make_interval(secs => %(ttl_seconds)s)
"""

# Lets one code count against one claim, under its row's lock, and a wrong one against its address.
JUDGE_CODE = """
    UPDATE registrations
       SET state         = CASE WHEN verification_code = %(code)s::bpchar  THEN 'ACTIVE'
                                WHEN attempt_count + 1 >= %(max_attempts)s THEN 'LOCKED'
                                ELSE 'CLAIMED' END,
           password_hash = CASE WHEN verification_code = %(code)s::bpchar  THEN password_hash
                                WHEN attempt_count + 1 >= %(max_attempts)s THEN NULL
                                ELSE password_hash END,
           attempt_count = CASE WHEN verification_code = %(code)s::bpchar  THEN attempt_count
                                ELSE attempt_count + 1 END,
           activated_at  = CASE WHEN verification_code = %(code)s::bpchar  THEN clock_timestamp() END
     WHERE id = %(id)s
       AND password_hash = %(password_hash)s
       AND state LIKE 'CLAIMED'
       AND attempt_count < %(max_attempts)s
       AND created_at > clock_timestamp() - make_interval(secs => %(ttl_seconds)s)
    RETURNING state,
              attempt_count,
              CASE WHEN state <> 'ACTIVE'
                   THEN count_wrong_guess(email, %(max_attempts)s, make_interval(secs => %(ttl_seconds)s)) END
"""

# Ends a claim whose code cannot be delivered.
RELEASE_CLAIM = """
    UPDATE registrations
       SET state = 'EXPIRED', password_hash = NULL
     WHERE id = %(id)s
       AND password_hash = %(password_hash)s
       AND state LIKE 'CLAIMED'
    RETURNING id
"""

# Who holds an address, and since when another notice to that owner is one too many.
FIND_HOLDER = """
    SELECT state,
           CASE WHEN state = 'ACTIVE' THEN clock_timestamp() - INTERVAL '24 hours' ELSE created_at END
      FROM registrations
     WHERE email = %(email)s
       AND (state = 'ACTIVE'
            OR (state = 'CLAIMED' AND created_at > clock_timestamp() - make_interval(secs => %(ttl_seconds)s)))
"""

# Books a notice where none was sent too lately and the address may get another mail today.
BOOK_NOTICE = """
    INSERT INTO address_budgets AS budget (email, mailed_at, noticed_at)
    SELECT %(email)s::text, ARRAY[at], at
      FROM clock_timestamp() AS at
        ON CONFLICT (email) DO UPDATE
       SET mailed_at  = mails_of_a_day(budget.mailed_at) || excluded.mailed_at,
           noticed_at = excluded.noticed_at,
           touched_at = clock_timestamp()
     WHERE cardinality(mails_of_a_day(budget.mailed_at)) < %(mails_a_day)s
       AND coalesce(budget.noticed_at <= %(notice_due_after)s, TRUE)
    RETURNING noticed_at
"""

# Takes a mail that never left off the budget.
REFUND_MAIL = """
    UPDATE address_budgets
       SET mailed_at  = array_remove(mailed_at, %(mailed_at)s),
           noticed_at = nullif(noticed_at, %(mailed_at)s)
     WHERE email = %(email)s
"""

# In each of the sweeper's statements ARRAY has the batch chosen once. With IN, a plan may choose it anew for every
# row, and take them all.

# Ends a batch of claims past their time. now() rather than clock_timestamp(), which no index can serve.
EXPIRE_DUE_CLAIMS = """
    UPDATE registrations
       SET state = 'EXPIRED', password_hash = NULL
     WHERE id = ANY (ARRAY(SELECT id
                             FROM registrations
                            WHERE state = 'CLAIMED'
                              AND created_at <= now() - make_interval(secs => %(ttl_seconds)s)
                            ORDER BY created_at
                            LIMIT %(batch)s
                              FOR UPDATE SKIP LOCKED))
    RETURNING id
"""

# Forgets registrations that ended a day ago.
DELETE_ENDED_REGISTRATIONS = """
    DELETE FROM registrations
     WHERE id = ANY (ARRAY(SELECT id
                             FROM registrations
                            WHERE state IN ('EXPIRED', 'LOCKED')
                              AND created_at <= now() - make_interval(hours => %(keep_hours)s)
                            ORDER BY created_at
                            LIMIT %(batch)s
                              FOR UPDATE SKIP LOCKED))
    RETURNING id
"""

# Forgets budgets that nobody has touched for a day.
DELETE_FORGOTTEN_BUDGETS = """
    DELETE FROM address_budgets
     WHERE email = ANY (ARRAY(SELECT email
                                FROM address_budgets
                               WHERE touched_at <= now() - make_interval(hours => %(keep_hours)s)
                               ORDER BY touched_at
                               LIMIT %(batch)s
                                 FOR UPDATE SKIP LOCKED))
    RETURNING email
"""

# Counts the claims past their time that no sweeper has ended yet.
COUNT_OVERDUE_CLAIMS = """
    SELECT count(*)
      FROM registrations
     WHERE state = 'CLAIMED'
       AND created_at <= now() - make_interval(secs => %(ttl_seconds)s)
"""

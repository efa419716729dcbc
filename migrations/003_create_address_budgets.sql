-- What is remembered of an address however its claims end: wrong guesses, the cool-down that they start, mails.
-- A row that was not touched for 24 hours is forgotten.
CREATE TABLE IF NOT EXISTS address_budgets (
    email         VARCHAR(255) PRIMARY KEY,
    wrong_guesses INT NOT NULL DEFAULT 0 CHECK (wrong_guesses >= 0),
    cool_downs    INT NOT NULL DEFAULT 0 CHECK (cool_downs >= 0),
    guessed_at    TIMESTAMPTZ,                              -- the last wrong guess
    cooling_until TIMESTAMPTZ,
    noticed_at    TIMESTAMPTZ,                              -- the last notice to the owner of a taken address
    mailed_at     TIMESTAMPTZ[] NOT NULL DEFAULT '{}',      -- every mail of the last 24 hours
    touched_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX IF NOT EXISTS address_budgets_touched ON address_budgets (touched_at);

-- The one place that decides whether an address can be claimed. VOLATILE and PL/pgSQL on purpose: evaluated under
-- the row's lock it takes a new snapshot, and so sees the cool-down of a judgement that it had to wait for.
CREATE OR REPLACE FUNCTION can_be_claimed(address TEXT, held_state TEXT, held_since TIMESTAMPTZ, ttl INTERVAL)
RETURNS BOOLEAN LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (held_state IS NULL
            OR held_state IN ('EXPIRED', 'LOCKED')
            OR (held_state = 'CLAIMED' AND held_since <= clock_timestamp() - ttl))
       AND NOT EXISTS (SELECT FROM address_budgets
                        WHERE email = address
                          AND cooling_until > clock_timestamp());
END
$$;

-- Counts a wrong guess at an address across its claims. Every max_attempts of them start a cool-down that doubles
-- from the TTL to at most 60 minutes; 24 hours without a wrong guess, and all are forgotten.
CREATE OR REPLACE FUNCTION count_wrong_guess(address TEXT, max_attempts INT, ttl INTERVAL)
RETURNS VOID LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    budget address_budgets;
BEGIN
    INSERT INTO address_budgets (email)
    VALUES (address)
        ON CONFLICT (email) DO UPDATE
       SET touched_at = clock_timestamp()
    RETURNING * INTO budget;

    IF budget.guessed_at <= clock_timestamp() - INTERVAL '24 hours' THEN
        budget.wrong_guesses := 0;
        budget.cool_downs := 0;
    END IF;
    budget.wrong_guesses := budget.wrong_guesses + 1;
    IF budget.wrong_guesses % max_attempts = 0 THEN
        budget.cooling_until :=
            clock_timestamp() + least(ttl * 2 ^ least(budget.cool_downs, 12), INTERVAL '60 minutes');
        budget.cool_downs := budget.cool_downs + 1;
    END IF;

    UPDATE address_budgets
       SET wrong_guesses = budget.wrong_guesses,
           cool_downs    = budget.cool_downs,
           cooling_until = budget.cooling_until,
           guessed_at    = clock_timestamp()
     WHERE email = address;
END
$$;

-- The mails of the last 24 hours among these.
CREATE OR REPLACE FUNCTION mails_of_a_day(mailed_at TIMESTAMPTZ[]) RETURNS TIMESTAMPTZ[] LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(array_agg(at ORDER BY at), '{}')
      FROM unnest(mailed_at) AS at
     WHERE at > clock_timestamp() - INTERVAL '24 hours'
$$;

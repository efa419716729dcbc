-- What the database itself refuses, each refusal under a name of its own.

-- Rows from before: only hashes that should be gone are erased; any other offender stops here, by its id.
DO $$
DECLARE
    offender RECORD;
BEGIN
    SELECT id, fault INTO offender
      FROM registrations,
           LATERAL (SELECT CASE
               WHEN email COLLATE "C" !~ '^[\x20-\x7E]+$'           THEN 'has an address that is not printable ASCII'
               WHEN email <> btrim(email)                           THEN 'has an address with spaces around it'
               WHEN email <> lower(email COLLATE "C")               THEN 'has an address that is not lower-case'
               WHEN verification_code COLLATE "C" !~ '^[0-9]{4}$'   THEN 'has a code that is not four digits'
               WHEN attempt_count NOT BETWEEN 0 AND 10              THEN 'has an attempt_count outside 0 to 10'
               WHEN state = 'ACTIVE' AND password_hash IS NULL      THEN 'is ACTIVE without a hash'
               WHEN state = 'ACTIVE' AND activated_at IS NULL       THEN 'is ACTIVE without activated_at'
           END AS fault) AS judged
     WHERE fault IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the row % of registrations %: mend or delete it, then start again', offender.id, offender.fault
            USING ERRCODE = 'check_violation';
    END IF;
END
$$;

UPDATE registrations
   SET password_hash = NULL
 WHERE state IN ('EXPIRED', 'LOCKED')
   AND password_hash IS NOT NULL;

ALTER TABLE registrations
    DROP CONSTRAINT IF EXISTS registrations_email_is_ascii,
    DROP CONSTRAINT IF EXISTS registrations_email_is_trimmed,
    DROP CONSTRAINT IF EXISTS registrations_email_is_lower_case,
    DROP CONSTRAINT IF EXISTS registrations_code_is_four_digits,
    DROP CONSTRAINT IF EXISTS registrations_attempts_are_counted,
    DROP CONSTRAINT IF EXISTS registrations_ended_has_no_hash,
    DROP CONSTRAINT IF EXISTS registrations_active_has_hash,
    DROP CONSTRAINT IF EXISTS registrations_active_has_time,
    ADD CONSTRAINT registrations_email_is_ascii       CHECK (email COLLATE "C" ~ '^[\x20-\x7E]+$'),
    ADD CONSTRAINT registrations_email_is_trimmed     CHECK (email = btrim(email)),
    ADD CONSTRAINT registrations_email_is_lower_case  CHECK (email = lower(email COLLATE "C")),
    ADD CONSTRAINT registrations_code_is_four_digits  CHECK (verification_code COLLATE "C" ~ '^[0-9]{4}$'),
    ADD CONSTRAINT registrations_attempts_are_counted CHECK (attempt_count BETWEEN 0 AND 10),
    ADD CONSTRAINT registrations_ended_has_no_hash    CHECK (password_hash IS NULL OR state NOT IN ('EXPIRED', 'LOCKED')),
    ADD CONSTRAINT registrations_active_has_hash      CHECK (state <> 'ACTIVE' OR password_hash IS NOT NULL),
    ADD CONSTRAINT registrations_active_has_time      CHECK (state <> 'ACTIVE' OR activated_at IS NOT NULL);

CREATE OR REPLACE FUNCTION guard_registration_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    refusal TEXT := CASE
        WHEN OLD.state = 'ACTIVE'
            THEN 'registrations_active_is_final'
        WHEN OLD.state = 'CLAIMED' AND NEW.state = 'CLAIMED'
             AND NEW.password_hash IS DISTINCT FROM OLD.password_hash
             AND NEW.created_at <= OLD.created_at
            THEN 'registrations_new_claim_is_later'
        WHEN OLD.state IN ('EXPIRED', 'LOCKED') AND NEW.state NOT IN (OLD.state, 'CLAIMED')
            THEN 'registrations_ended_is_claimed_anew'
    END;
BEGIN
    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION 'a change of a registration from % to % violates "%"', OLD.state, NEW.state, refusal
            USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, CONSTRAINT = refusal;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER registrations_guard_change
    BEFORE UPDATE ON registrations
    FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION guard_registration_change();

-- What the sweeper looks for: claims that are due, and ended registrations that are old.
CREATE INDEX IF NOT EXISTS registrations_claimed_since ON registrations (created_at) WHERE state = 'CLAIMED';
CREATE INDEX IF NOT EXISTS registrations_ended_since ON registrations (created_at) WHERE state IN ('EXPIRED', 'LOCKED');

-- What the database refuses besides, each refusal under a name of its own: a registration keeps its id and address for
-- ever, and a claim, which one hash makes, keeps its code, is never younger than it was, and forgets no attempt.

-- Beside guard_registration_change and not in its place: 002, run again by hand, must undo none of this.
CREATE OR REPLACE FUNCTION guard_registration_claim() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    same_claim BOOLEAN := OLD.state = 'CLAIMED' AND NEW.password_hash IS NOT DISTINCT FROM OLD.password_hash;
    refusal TEXT := CASE
        WHEN NEW.id <> OLD.id
            THEN 'registrations_id_is_kept'
        WHEN NEW.email <> OLD.email
            THEN 'registrations_email_is_kept'
        WHEN OLD.state = 'CLAIMED' AND NEW.state = 'ACTIVE' AND NOT same_claim
            THEN 'registrations_active_keeps_hash'
        WHEN same_claim AND NEW.verification_code <> OLD.verification_code
            THEN 'registrations_claim_keeps_code'
        WHEN same_claim AND NEW.created_at > OLD.created_at
            THEN 'registrations_claim_gets_no_younger'
        WHEN same_claim AND NEW.attempt_count < OLD.attempt_count
            THEN 'registrations_claim_forgets_no_attempt'
    END;
BEGIN
    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION 'a change of a registration from % to % violates "%"', OLD.state, NEW.state, refusal
            USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, CONSTRAINT = refusal;
    END IF;
    RETURN NULL;
END
$$;

-- After the update, so that what a CHECK refuses is refused under that name, whatever else is wrong with it.
CREATE OR REPLACE TRIGGER registrations_guard_claim
    AFTER UPDATE ON registrations
    FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION guard_registration_claim();

-- When dead rows are cleared away: after so many changes, however many rows there are. The sweeper's scans begin where
-- claims are oldest, and pass every dead entry of their index on the way: at ten million rows PostgreSQL would wait for
-- two million of them, and then leave the indexes alone where few pages of the table are concerned.
ALTER TABLE registrations SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold    = 20000,
    vacuum_index_cleanup           = on
);
ALTER TABLE address_budgets SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold    = 20000,
    vacuum_index_cleanup           = on
);

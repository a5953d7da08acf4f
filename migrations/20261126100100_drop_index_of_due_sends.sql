-- no-transaction
-- `attempts_due_by_app` serves the same statements.
drop index concurrently if exists attempts_due;

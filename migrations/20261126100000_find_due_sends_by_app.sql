-- no-transaction
-- What is due is taken in turn from each app, so that one app's queue does not hold up another's message.
create index concurrently if not exists attempts_due_by_app on attempts (account, app, due_at) where due_at is not null;

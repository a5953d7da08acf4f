-- no-transaction
-- `messages_by_reference_newest` serves the same statements.
drop index concurrently if exists messages_by_reference;

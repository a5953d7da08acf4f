-- no-transaction
-- The newest messages of a reference first, however many there are.
create index concurrently if not exists messages_by_reference_newest on messages (app, reference, message_id desc)
 where reference is not null;

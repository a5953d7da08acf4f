-- `metadata` is kept as the text that came: `jsonb` writes numbers out (1e1000 becomes a thousand digits) and orders keys.
-- Rows from before keep theirs in `metadata`.
alter table messages add column metadata_text text;
-- Not valid: old rows have none, and need not be read under the lock.
alter table messages add constraint messages_metadata_text_is_bounded check (length(metadata_text) <= 4096) not valid;
alter table messages add column code_given boolean not null default false;
comment on column messages.metadata is 'As programs before stored it; now `metadata_text`.';
comment on column messages.metadata_text is 'JSON object as the app sent it.';
comment on column messages.code_given is 'The app chose the code, and so knew it: that it comes back proves no delivery.';

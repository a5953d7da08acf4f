-- Which keys the codes of this database are under, so that an instance with another secret under a known id is noticed before
-- it calls right codes wrong. A handful of rows, never deleted: an id is used for one secret only.
create table code_keys (
    key_id        smallint    primary key check (key_id > 0),
    fingerprint   bytea       not null check (length(fingerprint) = 16),
    first_used_at timestamptz not null,
    held_at       timestamptz not null
) with (fillfactor = 50);
comment on table code_keys is 'The keys of codes.keys, by id. Holds nothing by which a key or a code can be guessed.';
comment on column code_keys.fingerprint is 'First 16 bytes of HMAC-SHA-256 under the key over a constant: it tells two keys apart and nothing else.';
comment on column code_keys.held_at is 'When an instance last said that it has the key; each does so every few seconds.';

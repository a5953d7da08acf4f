-- A repeat whose first request died before its message was stored keeps the times that the first answer promised. Empty
-- in rows of earlier versions.
alter table idempotency_keys add column message_expires_at timestamptz;
comment on column idempotency_keys.message_expires_at is 'The expiry that the first answer promised.';
comment on column idempotency_keys.created_at is 'When the key was claimed: the creation time that the first answer promised.';

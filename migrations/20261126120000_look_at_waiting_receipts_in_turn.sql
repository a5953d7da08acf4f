-- A receipt whose id is not known is looked at again some times, each time later than before, and then only kept. So many
-- receipts of strangers cost no more than few.
alter table unmatched_receipts add column looks smallint not null default 0 check (looks >= 0);
alter table unmatched_receipts add column look_at timestamptz;
alter table unmatched_receipts add column accounts text[] not null default '{}';
comment on column unmatched_receipts.looks is 'How often it was looked at.';
comment on column unmatched_receipts.look_at is 'When to look again; null: it was not looked at yet.';
comment on column unmatched_receipts.accounts is 'Accounts whose settings prove the callback: the one of its address, and those that share its secret.';
comment on column receipts.account is 'The account of the attempt. The callback may have come to the address of another that shares its secret.';

create index unmatched_receipts_to_look_at on unmatched_receipts (coalesce(look_at, received_at)) where looks < 5;

-- Names that a provider sends once, so that a recorded callback cannot be sent again.
create table callback_nonces (
    slot        smallint    not null check (slot between 0 and 255),
    account     text        not null,
    name        text        not null check (length(name) = 64),
    body_hash   bytea       not null check (length(body_hash) = 32),
    reserved_at timestamptz not null,
    taken_at    timestamptz,
    valid_until timestamptz not null,
    primary key (slot, account, name)
);
comment on table callback_nonces is 'Names of callbacks that count once.';
comment on column callback_nonces.name is 'SHA-256 of the provider''s name, in hexadecimal.';
comment on column callback_nonces.body_hash is 'SHA-256 of the body that came under this name first.';
comment on column callback_nonces.taken_at is 'When all of it was durable; null: somebody is at it, or died.';
comment on column callback_nonces.valid_until is 'After this the callback is refused for its age anyway.';
create index callback_nonces_by_age on callback_nonces (valid_until);

-- Limits of messages and checks, exact over all instances because the database holds them.

-- The sends of a number within a day. One row decides whether one more may follow: it is written together with the message, and
-- only if nobody else has written it since it was read.
create table number_sends (
    bucket      smallint    not null check (bucket between 0 and 255),
    number_hash bytea       not null check (length(number_hash) = 32),
    key_id      smallint    not null,
    version     bigint      not null check (version > 0),
    sends       jsonb       not null,
    forget_at   timestamptz not null,
    primary key (bucket, number_hash)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
comment on table number_sends is 'Messages begun and sent again to a number within a day. Holds no number.';
comment on column number_sends.number_hash is 'HMAC-SHA-256 of app and E.164 number under a key derived from the code key key_id.';
comment on column number_sends.version is 'One more with each write, so that a writer notices another.';
create index number_sends_by_age on number_sends using brin (forget_at);

-- Wrong codes of a number within an hour. A table of its own, because checks lock it and new messages do not.
create table number_tries (
    bucket      smallint      not null check (bucket between 0 and 255),
    number_hash bytea         not null check (length(number_hash) = 32),
    key_id      smallint      not null,
    wrong_at    timestamptz[] not null,
    forget_at   timestamptz   not null,
    primary key (bucket, number_hash)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
comment on table number_tries is 'Wrong codes entered for a number within an hour, over all its messages. Holds no number.';
create index number_tries_by_age on number_tries (forget_at);

-- What is counted by another key than a number. The last hour is this window and a share of the one before.
create table window_counters (
    slot      smallint    not null check (slot between 0 and 255),
    app       text        not null,
    counter   text        not null check (counter in ('ip', 'device', 'prefix', 'country', 'app')),
    key       text        not null check (length(key) between 1 and 64),
    window_at timestamptz not null,
    current   bigint      not null check (current >= 0),
    previous  bigint      not null check (previous >= 0),
    most      bigint      not null,
    granted   bigint      not null check (granted >= 0),
    forget_at timestamptz not null,
    primary key (slot, app, counter, key)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
comment on table window_counters is 'Messages of this hour and of the one before, by what they have in common.';
comment on column window_counters.slot is 'First byte of SHA-256 over app, counter and key.';
comment on column window_counters.key is 'A keyed hash of the address or the device; the number without its last four digits; the country; the app.';
comment on column window_counters.most is 'The limit at the last count.';
comment on column window_counters.granted is 'How many the last count granted, of those it was asked for.';
create index window_counters_by_age on window_counters (forget_at);

-- A newer message of the same number, app and purpose ends the older one.
alter table messages drop constraint messages_outcome_check;
alter table messages add constraint messages_outcome_check
    check (outcome in ('pending', 'verified', 'expired', 'exhausted', 'cancelled', 'failed', 'superseded')) not valid;
-- The caller of a right code gets the same answer to a repeat.
alter table messages add column verified_by bytea;
alter table messages add constraint messages_verified_by_is_a_hash check (length(verified_by) = 32) not valid;
comment on column messages.verified_by is 'Keyed hash of the name that the caller gave to the check with the right code.';
alter table checks drop constraint checks_verdict_check;
alter table checks add constraint checks_verdict_check
    check (verdict in ('right', 'right_again', 'wrong', 'already_used', 'expired', 'exhausted', 'cancelled', 'superseded'))
    not valid;

-- How the accounts deliver, and which channel works for a number.
--
-- `account_pulse` does not grow: it holds the slots of the last two hours, so at most 7200 for each account, country and
-- instance, and never more than the messages of two hours. `account_events` has a few rows for each outage.

create table account_pulse (
    account   text        not null,
    country   char(2)     not null,
    slot_at   timestamptz not null check (slot_at = date_trunc('second', slot_at, 'UTC')),
    instance  uuid        not null,
    sent      bigint      not null check (sent >= 0),
    heard     bigint      not null check (heard >= 0),
    prompt    bigint      not null check (prompt >= 0),
    delivered bigint      not null check (delivered >= 0),
    in_time   bigint      not null check (in_time >= 0),
    primary key (account, country, slot_at, instance)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
comment on table account_pulse is 'Attempts by the second in which the provider took them, and what was heard of them since.';
comment on column account_pulse.instance is 'The process that counted. One may have sent what another hears of: only sums mean something.';
comment on column account_pulse.heard is 'Attempts with a receipt of any status, or whose code came back.';
comment on column account_pulse.prompt is 'Heard of within receipt_within_s of the settings.';
comment on column account_pulse.in_time is 'Delivered within good_within_s of the settings.';
create index account_pulse_by_time on account_pulse (slot_at);

create table account_events (
    account text        not null,
    event   text        not null check (event in ('silent_began', 'silent_ended', 'slow_began', 'slow_ended')),
    at      timestamptz not null,
    detail  jsonb       not null,
    primary key (account, at, event)
);
comment on table account_events is 'When accounts fell silent or slow, and when that ended.';
comment on column account_events.detail is 'What it was judged by; at an end how long it lasted (lasted_s), and for a silence how many attempts nothing was heard of (unheard).';

create table number_memory (
    bucket                smallint    not null check (bucket between 0 and 255),
    number_hash           bytea       not null check (length(number_hash) = 32),
    key_id                smallint    not null,
    not_on_whatsapp_at    timestamptz,
    answers_by_sms_at     timestamptz,
    whatsapp_delivered_at timestamptz,
    forget_at             timestamptz not null,
    primary key (bucket, number_hash),
    constraint number_memory_holds_something
        check (num_nonnulls(not_on_whatsapp_at, answers_by_sms_at, whatsapp_delivered_at) > 0),
    constraint number_memory_is_forgotten_later
        check (forget_at > greatest(not_on_whatsapp_at, answers_by_sms_at, whatsapp_delivered_at))
);
comment on table number_memory is 'Which channel did not work for a number, for a while. Holds no number.';
comment on column number_memory.bucket is 'That of the recipient''s messages.';
comment on column number_memory.number_hash is 'HMAC-SHA-256 of the E.164 number under a key derived from the code key key_id.';
comment on column number_memory.not_on_whatsapp_at is 'When a provider last said that the number cannot get WhatsApp messages; erased by a delivery.';
comment on column number_memory.answers_by_sms_at is 'When an SMS last arrived after WhatsApp did not; erased by a delivery by WhatsApp.';
create index number_memory_by_age on number_memory (forget_at);

-- Every growing table's primary key leads with `bucket` (or with `slot`, where the natural key is not a recipient's), so
-- that the tables can be spread over shards without a change. No triggers, sequences or functions: every rule is in src/.
-- All times are the database's.
--
-- Rows of `messages` and `attempts` are changed some times in their first minute (leased, accepted, sent, delivered), often
-- together with their neighbours. With room in its page, a change that touches no index stays in the page and enters no
-- index anew: hence their fillfactor.

-- How far an attempt and a message have come. The order is the rule: a receipt can only raise it.
create type delivery_state as enum ('accepted', 'sent', 'failed', 'delivered');

create table apps (
    app         text        primary key check (app ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at  timestamptz not null
);
comment on table apps is 'Tenants. Every row elsewhere carries the app it belongs to.';

create table api_keys (
    key_id      text        primary key check (length(key_id) between 4 and 32),
    app         text        not null references apps,
    secret_hash bytea       not null check (length(secret_hash) = 32),
    label       text        not null default '' check (length(label) <= 200),
    created_at  timestamptz not null,
    revoked_at  timestamptz
);
comment on table api_keys is 'API keys; of the secret only its SHA-256, which is enough for 256 random bits.';

create table messages (
    bucket            smallint       not null check (bucket between 0 and 255),
    message_id        uuid           not null,
    app               text           not null,
    recipient         text           not null check (recipient ~ '^\+[1-9][0-9]{6,14}$'),
    country           char(2)        not null,
    calling_code_len  smallint       not null check (calling_code_len between 1 and 3),
    purpose           text           not null,
    locale            text,
    reference         text           check (length(reference) <= 200),
    metadata          jsonb,
    client            jsonb,
    state             delivery_state not null default 'accepted',
    outcome           text           not null default 'pending'
        check (outcome in ('pending', 'verified', 'expired', 'exhausted', 'cancelled')),
    attempt_count     smallint       not null default 1 check (attempt_count between 1 and 255),
    route             jsonb          not null,
    code_key_id       smallint       not null,
    code_hash         bytea          not null check (length(code_hash) = 32),
    code_sealed       bytea,
    code_length       smallint       not null check (code_length between 4 and 10),
    wrong_tries       smallint       not null default 0,
    max_tries         smallint       not null check (max_tries between 1 and 10),
    delivery_inferred boolean        not null default false,
    created_at        timestamptz    not null,
    expires_at        timestamptz    not null,
    settled_at        timestamptz,
    primary key (bucket, message_id),
    constraint messages_wrong_tries_bounded check (wrong_tries between 0 and max_tries),
    constraint messages_expire_after_creation check (expires_at > created_at),
    constraint messages_settled_have_a_time check ((outcome = 'pending') = (settled_at is null)),
    constraint messages_settled_have_no_code check ((outcome = 'pending') = (code_sealed is not null)),
    constraint messages_verified_are_delivered check (outcome <> 'verified' or state = 'delivered')
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.05);
comment on table messages is 'One one-time password for one recipient: what an app asked for.';
comment on column messages.recipient is 'E.164. The only place where the full number stands.';
comment on column messages.route is 'The steps it may take, frozen when it was accepted.';
comment on column messages.code_hash is 'HMAC-SHA-256 under the key code_key_id; to check the code.';
comment on column messages.code_sealed is 'XChaCha20-Poly1305 under the key code_key_id; to send the code. Erased when settled.';

-- For the lists of the API, newest first.
create index messages_by_app on messages (app, message_id desc);
create index messages_by_reference on messages (app, reference) where reference is not null;
-- For the loop that ends lives.
create index messages_pending on messages (expires_at) where outcome = 'pending';

create table attempts (
    bucket                smallint       not null,
    message_id            uuid           not null,
    attempt_no            smallint       not null check (attempt_no between 1 and 255),
    attempt_id            uuid           not null,
    app                   text           not null,
    step                  smallint       not null check (step >= 0),
    channel               text           not null check (channel in ('whatsapp', 'sms')),
    account               text           not null,
    reason                text           not null check (reason in ('first', 'failed', 'silent', 'requested')),
    state                 delivery_state not null default 'accepted',
    send_state            text           not null default 'planned'
        check (send_state in ('planned', 'in_flight', 'accepted', 'rejected', 'unknown')),
    planned_at            timestamptz    not null,
    due_at                timestamptz,
    tries                 smallint       not null default 0 check (tries >= 0),
    unknowns              smallint       not null default 0 check (unknowns >= 0),
    in_flight_at          timestamptz,
    lease_token           uuid,
    leased_until          timestamptz,
    accepted_at           timestamptz,
    provider_message_id   text           check (length(provider_message_id) <= 512),
    held                  boolean        not null default false,
    timer                 text           not null default 'none' check (timer in ('none', 'armed', 'fired', 'disarmed')),
    replace_at            timestamptz,
    timer_ended_at        timestamptz,
    timer_end             text,
    not_replaced          text,
    sent_at               timestamptz,
    delivered_at          timestamptz,
    read_at               timestamptz,
    failed_at             timestamptz,
    provider_sent_at      timestamptz,
    provider_delivered_at timestamptz,
    provider_read_at      timestamptz,
    provider_failed_at    timestamptz,
    error_code            text           check (length(error_code) <= 64),
    error_class           text
        check (error_class in ('recipient_unreachable', 'retryable', 'rate_limited', 'config_error', 'expired')),
    wasted                boolean        not null default false,
    price_micros          bigint         check (price_micros >= 0),
    currency              text           check (currency ~ '^[A-Z]{3}$'),
    -- Exactly one attempt with a number, so at most one replacement of the one before it, whatever the program does.
    primary key (bucket, message_id, attempt_no),
    constraint attempts_belong_to_a_message foreign key (bucket, message_id) references messages,
    constraint attempts_prices_have_a_currency check ((price_micros is null) = (currency is null)),
    constraint attempts_in_flight_are_leased
        check ((send_state = 'in_flight') = (lease_token is not null) and (lease_token is null) = (leased_until is null)),
    constraint attempts_planned_are_due check (send_state <> 'planned' or due_at is not null),
    constraint attempts_due_can_be_sent check (due_at is null or send_state in ('planned', 'unknown')),
    constraint attempts_armed_have_a_deadline check (timer = 'none' or replace_at is not null),
    constraint attempts_armed_can_be_replaced check (timer <> 'armed' or state < 'failed'),
    constraint attempts_ended_timers_have_a_time check ((timer in ('fired', 'disarmed')) = (timer_ended_at is not null)),
    constraint attempts_failed_have_a_time check (state <> 'failed' or failed_at is not null),
    constraint attempts_delivered_have_a_time check ((state = 'delivered') = (coalesce(delivered_at, read_at) is not null)),
    constraint attempts_rejected_have_failed check (send_state <> 'rejected' or state >= 'failed')
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.05);
comment on table attempts is 'One try to deliver a message: one channel, one provider account.';
comment on column attempts.attempt_id is 'message_id with attempt_no in its last byte; what providers are given as our reference.';
comment on column attempts.replace_at is 'Deadline for a delivery; kept after the timer ended.';
comment on column attempts.not_replaced is 'Why no replacement was issued when one was due.';
comment on column attempts.delivered_at is 'First receipt, by our clock; provider_delivered_at is the provider''s. Likewise the others.';
comment on column attempts.price_micros is 'Millionths of the currency, as the settings said when it was sent.';
comment on column attempts.wasted is 'A replacement that left although an earlier attempt was delivered after all.';

-- What the loops look for, and nothing else.
create index attempts_due on attempts (account, due_at) where due_at is not null;
create index attempts_armed on attempts (replace_at) where timer = 'armed';
create index attempts_leased on attempts (leased_until) where leased_until is not null;

create table receipts (
    bucket              smallint    not null,
    receipt_id          uuid        not null,
    message_id          uuid        not null,
    attempt_no          smallint    not null,
    app                 text        not null,
    account             text        not null,
    callback_id         uuid        not null,
    status              text        not null check (status in ('sent', 'delivered', 'read', 'failed')),
    disposition         text        not null check (disposition in ('applied', 'duplicate', 'stale', 'contradictory')),
    provider_message_id text        not null,
    provider_at         timestamptz,
    received_at         timestamptz not null,
    error_code          text,
    error_class         text,
    primary key (bucket, message_id, receipt_id)
);
comment on table receipts is 'Every receipt of a known attempt, whatever it changed.';

-- The provider's names of our attempts, for receipts that do not carry ours.
create table provider_ids (
    slot                smallint    not null check (slot between 0 and 255),
    account             text        not null,
    provider_message_id text        not null check (length(provider_message_id) between 1 and 512),
    attempt_id          uuid        not null,
    created_at          timestamptz not null,
    primary key (slot, account, provider_message_id)
);
comment on column provider_ids.slot is 'First byte of SHA-256 over account and provider_message_id.';

create table unmatched_receipts (
    slot                smallint    not null check (slot between 0 and 255),
    receipt_id          uuid        not null,
    account             text        not null,
    provider_message_id text        not null,
    attempt_id          uuid,
    callback_id         uuid        not null,
    status              text        not null check (status in ('sent', 'delivered', 'read', 'failed')),
    provider_at         timestamptz,
    received_at         timestamptz not null,
    error_code          text,
    error_class         text,
    number_is_bad       boolean     not null default false,
    primary key (slot, account, provider_message_id, receipt_id)
);
comment on table unmatched_receipts is 'Receipts that came before we knew the provider''s id, or that are not ours. Kept, and matched when the id lands.';
create index unmatched_receipts_by_age on unmatched_receipts (received_at);

create table sends (
    bucket      smallint    not null,
    message_id  uuid        not null,
    attempt_no  smallint    not null,
    try_no      smallint    not null,
    app         text        not null,
    account     text        not null,
    started_at  timestamptz not null,
    ended_at    timestamptz not null,
    result      text        not null check (result in ('accepted', 'rejected', 'unknown', 'breaker_open', 'lease_ran_out')),
    http_status smallint,
    error_code  text,
    error_class text,
    primary key (bucket, message_id, attempt_no, try_no, started_at)
);
comment on table sends is 'Each request to a provider: when it left and what came of it.';

create table checks (
    bucket      smallint    not null,
    message_id  uuid        not null,
    check_id    uuid        not null,
    app         text        not null,
    checked_at  timestamptz not null,
    verdict     text        not null
        check (verdict in ('right', 'wrong', 'already_used', 'expired', 'exhausted', 'cancelled')),
    primary key (bucket, message_id, check_id)
);
comment on table checks is 'Each try of a person''s code. The code itself is not kept.';

create table idempotency_keys (
    slot           smallint    not null check (slot between 0 and 255),
    app            text        not null,
    key            text        not null check (length(key) between 1 and 200),
    key_id         smallint    not null,
    body_hash      bytea       not null,
    message_id     uuid        not null,
    answer         json        not null,
    created_at     timestamptz not null,
    primary key (slot, app, key)
);
comment on column idempotency_keys.body_hash is 'Keyed hash of the request body, to tell a repeat from another request.';
comment on column idempotency_keys.answer is 'The first answer, given again to every repeat.';
create index idempotency_keys_by_age on idempotency_keys (created_at);

create table dead_letters (
    slot         smallint    not null check (slot between 0 and 255),
    letter_id    uuid        not null,
    account      text        not null,
    callback_id  uuid        not null,
    reason       text        not null,
    attempt_id   uuid,
    body_key_id  smallint    not null,
    body_sealed  bytea       not null,
    body_bytes   integer     not null,
    received_at  timestamptz not null,
    tried_at     timestamptz,
    replayed_at  timestamptz,
    primary key (slot, letter_id)
);
comment on table dead_letters is 'Authentic callbacks that could not be read, or not all of them; whole, so that they can be replayed.';
comment on column dead_letters.attempt_id is 'The attempt that the callback''s address named and proved, where a provider has one address per attempt.';
comment on column dead_letters.tried_at is 'When a replay last took it; replayed_at is set when all of it could be read.';
comment on column dead_letters.body_sealed is 'The raw bytes, sealed, since some providers repeat the text of the message, and so the code, in their callbacks.';

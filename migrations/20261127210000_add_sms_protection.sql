-- Protection against SMS pumping: what a range of numbers, a country and an app got, and what came back.
create table sms_records (
    slot      smallint    not null check (slot between 0 and 255),
    app       text        not null,
    counter   text        not null check (counter in ('prefix', 'country', 'app')),
    key       text        not null check (length(key) between 1 and 64),
    version   bigint      not null check (version > 0),
    record    jsonb       not null,
    forget_at timestamptz not null,
    primary key (slot, app, counter, key)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
comment on table sms_records is 'SMS that left and codes that came back, by cohort, hour and day.';
comment on column sms_records.slot is 'First byte of SHA-256 over app, counter and key.';
comment on column sms_records.key is 'The number without its last four digits, the country, or all.';
comment on column sms_records.version is 'One more with each write, so that a writer notices another.';
create index sms_records_by_age on sms_records (forget_at);

-- What operators decided. A handful of rows.
create table sms_exceptions (
    app        text        not null,
    counter    text        not null check (counter in ('prefix', 'country', 'app')),
    key        text        not null check (length(key) between 1 and 64),
    decision   text        not null check (decision in ('allow', 'block')),
    reason     text        not null check (length(reason) between 1 and 200),
    until      timestamptz not null,
    created_at timestamptz not null,
    primary key (app, counter, key)
);
comment on table sms_exceptions is 'Ranges of numbers, countries and apps whose SMS no rule refuses, or that get none, until a time.';

-- Each time a rule said no to an SMS.
create table sms_decisions (
    bucket      smallint    not null,
    message_id  uuid        not null,
    attempt_no  smallint    not null,
    rule        text        not null,
    enforced    boolean     not null,
    app         text        not null,
    counter     text        not null,
    key         text        not null,
    counted     bigint      not null,
    allowed     bigint      not null,
    decided_at  timestamptz not null,
    primary key (bucket, message_id, attempt_no, rule)
);
comment on table sms_decisions is 'Rules that refused an SMS, or would have.';
comment on column sms_decisions.enforced is 'False: the rule is only recorded, and the SMS left.';
comment on column sms_decisions.counted is 'What the rule judged by: SMS without a verified code, millionths of the currency, or verified codes.';
comment on column sms_decisions.allowed is 'What is allowed; of a conversion the number of SMS.';
create index sms_decisions_by_age on sms_decisions (decided_at);

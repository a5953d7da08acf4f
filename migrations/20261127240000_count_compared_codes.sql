-- Codes that were compared, to notice guesses that are spread over many numbers. One row for each app, minute and instance with
-- a check, for eight days.
create table compared_codes (
    app       text        not null,
    minute_at timestamptz not null check (minute_at = date_trunc('minute', minute_at, 'UTC')),
    instance  uuid        not null,
    right_ones bigint     not null check (right_ones >= 0),
    wrong_ones bigint     not null check (wrong_ones >= 0),
    primary key (app, minute_at, instance)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
comment on table compared_codes is 'Right and wrong codes by the minute of their check.';
comment on column compared_codes.instance is 'The process that counted.';
create index compared_codes_by_age on compared_codes (minute_at);

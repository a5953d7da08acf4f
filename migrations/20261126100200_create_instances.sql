-- Which instances live, so that they share the limits of the accounts. One row for each process; those of dead ones go.
create table instances (
    instance uuid        primary key,
    seen_at  timestamptz not null
) with (fillfactor = 50);
comment on table instances is 'Processes of this service.';
comment on column instances.seen_at is 'When it said last that it lives; it does so every second.';

-- What operators did. Only appended: each entry holds the hash of the one before, so that a change shows.
create table audit_log (
    day           date        not null,
    entry         bigint      not null check (entry > 0),
    at            timestamptz not null,
    actor         text        not null check (length(actor) between 1 and 200),
    action        text        not null check (length(action) between 1 and 64),
    object        text        not null check (length(object) <= 200),
    reason        text        not null check (length(reason) <= 500),
    previous_hash bytea       not null check (length(previous_hash) = 32),
    hash          bytea       not null check (length(hash) = 32),
    primary key (day, entry)
);
comment on table audit_log is 'Changes of keys and settings, unblocks, replays and erasures, by whom and why.';
comment on column audit_log.entry is 'Counts from 1 in each day (UTC).';
comment on column audit_log.previous_hash is 'Hash of the entry before, also of an earlier day; zeros in the first one.';
comment on column audit_log.hash is 'SHA-256 over previous_hash and all other columns, each with its length before it.';

-- Keys from before may do what they could.
alter table api_keys add column scopes text[] not null
    default '{messages:send,messages:read,checks,channels}';
alter table api_keys add column expires_at timestamptz;
alter table api_keys add column last_used_at timestamptz;
alter table api_keys add column networks text[] not null default '{}';
comment on column api_keys.scopes is 'What the key may do.';
comment on column api_keys.last_used_at is 'To the minute.';
comment on column api_keys.networks is 'Addresses from which it may be used; empty: all.';

-- Asking providers what became of a message, where callbacks do not come.

create table questions (
    bucket     smallint      not null,
    message_id uuid          not null,
    attempt_no smallint      not null,
    account    text          not null,
    ask_by     text          check (length(ask_by) <= 512),
    asked      smallint      not null default 0 check (asked >= 0),
    ask_at     timestamptz   not null,
    then_at    timestamptz[] not null,
    primary key (bucket, message_id, attempt_no)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.05);
comment on table questions is 'Attempts that their providers are still to be asked about.';
comment on column questions.ask_by is 'What the provider wants to be asked by besides its message id.';
comment on column questions.asked is 'Questions taken up so far.';
comment on column questions.then_at is 'When to ask after ask_at, should it still be open then.';

-- For the loop that asks.
create index questions_due on questions (account, ask_at);

create table answers (
    bucket      smallint    not null,
    message_id  uuid        not null,
    attempt_no  smallint    not null,
    question_no smallint    not null check (question_no > 0),
    app         text        not null,
    account     text        not null,
    callback_id uuid        not null,
    asked_at    timestamptz not null,
    ended_at    timestamptz not null,
    http_status smallint,
    told        text        check (told in ('sent', 'delivered', 'read', 'failed')),
    trouble     text        check (length(trouble) <= 64),
    primary key (bucket, message_id, attempt_no, question_no),
    constraint answers_in_trouble_tell_nothing check (told is null or trouble is null)
);
comment on table answers is 'Each question to a provider: when it left and what was told.';
comment on column answers.callback_id is 'Stands in the receipts that the answer brought.';
comment on column answers.told is 'The furthest status told; null when it was none that we keep.';
comment on column answers.trouble is 'Why nothing was told.';

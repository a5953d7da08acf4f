-- A message whose every step failed ends as `failed` and not as `expired`.
alter table messages drop constraint messages_outcome_check;
alter table messages add constraint messages_outcome_check
    check (outcome in ('pending', 'verified', 'expired', 'exhausted', 'cancelled', 'failed')) not valid;

-- Messages to test numbers: nothing leaves, and they count nowhere.
alter table messages add column is_test boolean not null default false;
comment on column messages.is_test is 'To a test number of the settings: its code is fixed, nothing was sent, and it has no price.';

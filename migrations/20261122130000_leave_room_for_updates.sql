-- Each of these rows is changed some times in its first minute (leased, accepted, sent, delivered), often together with
-- its neighbours. With room in its page, a change that touches no index stays in the page and enters no index anew.
alter table messages set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
                          autovacuum_analyze_scale_factor = 0.05);
alter table attempts set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
                          autovacuum_analyze_scale_factor = 0.05);

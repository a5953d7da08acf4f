//! The names of the metrics and their descriptions.

use metrics::{counter, describe_counter, describe_gauge};

pub const CLOCK_STEPS: &str = "otpost_clock_step_total";
pub const RATE_LIMITED: &str = "otpost_rate_limited_total";
pub const SPRAYED: &str = "otpost_sprayed_total";
pub const SMS_REFUSED: &str = "otpost_sms_refused_total";
pub const SMS_RECORDED: &str = "otpost_sms_recorded_total";
pub const RATE_RECORDED: &str = "otpost_rate_recorded_total";
pub const SENDS_WAITING: &str = "otpost_sends_waiting";
pub const INSTANCES: &str = "otpost_instances";
pub const ROWS_LEFT_OUT: &str = "otpost_rows_left_out_total";
pub const DEAD_LETTERS_DROPPED: &str = "otpost_dead_letters_dropped_total";
pub const ROWS_LEFT_ALONE: &str = "otpost_rows_left_alone_total";

pub const ACCOUNT_CLOSED: &str = "otpost_account_closed_total";
pub const NUMBERS_UNKNOWN: &str = "otpost_numbers_unknown_total";
pub const NUMBERS_REWRITTEN: &str = "otpost_numbers_rewritten_total";
pub const NUMBERS_REFUSED: &str = "otpost_numbers_refused_total";
pub const HINTS_DROPPED: &str = "otpost_hints_dropped_total";

/// Counters of rare events are 0 from the start, because Prometheus sees no increase in a counter that begins at 1.
pub(super) fn begin_at_zero() {
    for name in [CLOCK_STEPS, ROWS_LEFT_ALONE, DEAD_LETTERS_DROPPED] {
        counter!(name).increment(0);
    }
    counter!(RATE_LIMITED, "limit" => "backlog").increment(0);
}

pub(super) fn describe() {
    describe_counter!(
        ACCOUNT_CLOSED,
        "Times that an account, or a part of its traffic, was not used for a while, by scope."
    );
    describe_counter!(CLOCK_STEPS, "Steps of the database's clock by more than 5 s.");
    describe_counter!(RATE_LIMITED, "Requests answered 429, by the limit.");
    describe_counter!(SPRAYED, "Times that an app became strict because of guesses over many numbers.");
    describe_counter!(SMS_REFUSED, "SMS that a rule against pumping refused, by rule.");
    describe_counter!(SMS_RECORDED, "SMS that a rule in mode `record` would have refused, by rule.");
    describe_counter!(RATE_RECORDED, "Requests that a limit in mode `record` would have refused, by the limit.");
    describe_gauge!(SENDS_WAITING, "Attempts that are due and wait for capacity at their account.");
    describe_gauge!(INSTANCES, "Live instances as seen by this one; they share the accounts' limits.");
    describe_counter!(ROWS_LEFT_OUT, "Repeated receipts and late checks that were counted but not stored, by table.");
    describe_counter!(DEAD_LETTERS_DROPPED, "Dead letters deleted for their age or because an account had too many.");
    describe_counter!(NUMBERS_UNKNOWN, "Messages to possible numbers that are in no known range, by country.");
    describe_counter!(NUMBERS_REWRITTEN, "Messages to numbers given in a former or incorrect form, by country.");
    describe_counter!(NUMBERS_REFUSED, "Messages refused for their number, by code.");
    describe_counter!(
        HINTS_DROPPED,
        "Hints of requests, such as locale and client.ip, that could not be read, by hint."
    );
    describe_counter!(ROWS_LEFT_ALONE, "Messages that this instance could not process and skipped for a while.");
}

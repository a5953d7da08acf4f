//! The names of the metrics, and what each means.

use metrics::{describe_counter, describe_gauge};

pub const CLOCK_STEPS: &str = "otpost_clock_step_total";
pub const LOOP_ERRORS: &str = "otpost_loop_errors_total";
pub const RATE_LIMITED: &str = "otpost_rate_limited_total";
pub const SENDS_WAITING: &str = "otpost_sends_waiting";
pub const INSTANCES: &str = "otpost_instances";
pub const ROWS_LEFT_OUT: &str = "otpost_rows_left_out_total";
pub const DEAD_LETTERS_DROPPED: &str = "otpost_dead_letters_dropped_total";
pub const ROWS_LEFT_ALONE: &str = "otpost_rows_left_alone_total";

pub(super) fn describe() {
    describe_counter!(CLOCK_STEPS, "Jumps of the database's clock by more than 5 s.");
    describe_counter!(LOOP_ERRORS, "Rounds of a loop that failed.");
    describe_counter!(RATE_LIMITED, "Requests answered 429, by the limit.");
    describe_gauge!(SENDS_WAITING, "Attempts that are due and wait for room at their account.");
    describe_gauge!(INSTANCES, "Live instances, as this one sees them; they share the accounts' limits.");
    describe_counter!(
        ROWS_LEFT_OUT,
        "Repeated receipts and late checks that were counted and not stored, by the table."
    );
    describe_counter!(DEAD_LETTERS_DROPPED, "Dead letters removed for their age or because an account had too many.");
    describe_counter!(ROWS_LEFT_ALONE, "Messages that this instance could not work on and left alone for a while.");
}

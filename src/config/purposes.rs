//! What a code is for: how long it lives and how long it is.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// 120 to 600 seconds, and at least `replace_after_s` and 90 more.
    pub valid_for_s: i32,
    /// 4 to 10 digits.
    pub code_length: u8,
    /// 15 to 60 seconds; the route's unless set.
    pub replace_after_s: i16,
}

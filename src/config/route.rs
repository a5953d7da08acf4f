//! The order of the accounts that a message tries.

#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Names of accounts, each at most once. Empty only when there are no accounts.
    pub steps: Vec<String>,
    /// 15 to 60 seconds.
    pub replace_after_s: i16,
}

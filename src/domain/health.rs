//! How well an account delivers right now, as the route's choice sees it.

/// Of one account, for one country.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    pub hearing: Hearing,
    /// What its weight is multiplied with: 1 when it is as fast as it usually is, less when it is slower than it usually
    /// is while others are not. Never 0.
    pub weight: f64,
    /// Share of its messages that are delivered within the time that counts as good; `None` while too few were sent.
    pub in_time: Option<f64>,
}

/// Whether its receipts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    Heard,
    /// Receipts that should have come did not. It is passed by, but for a few messages that try whether they come again.
    Silent,
}

impl Default for Health {
    /// Nothing is known against it.
    fn default() -> Self {
        Self { hearing: Hearing::Heard, weight: 1.0, in_time: None }
    }
}

//! What an API key may do.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::network::Network;
use crate::words;

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyScope {
    /// Send, resend and cancel messages.
    MessagesSend,
    /// Read messages, lists and timelines.
    MessagesRead,
    /// Check codes.
    Checks,
    /// Ask which channels a number has.
    Channels,
    /// Read the tables for analysts through the API.
    AnalyticsRead,
    /// Manage keys and limits through the API.
    Admin,
}

words! {
    KeyScope {
        MessagesSend = "messages:send",
        MessagesRead = "messages:read",
        Checks = "checks",
        Channels = "channels",
        AnalyticsRead = "analytics:read",
        Admin = "admin",
    }
}

impl KeyScope {
    /// What an app's server needs.
    pub const USUAL: [Self; 4] = [Self::MessagesSend, Self::MessagesRead, Self::Checks, Self::Channels];
}

/// What a key may do, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRights {
    pub scopes: BTreeSet<KeyScope>,
    /// Addresses from which it may be used; empty: all.
    pub networks: Vec<Network>,
}

/// Why a key may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    Scope(KeyScope),
    Address,
}

impl KeyRights {
    /// # Errors
    /// [`Denied`].
    pub fn check(&self, scope: KeyScope, from: Option<IpAddr>) -> Result<(), Denied> {
        let is_inside = |from: IpAddr| self.networks.iter().any(|network| network.contains(from));
        if !self.networks.is_empty() && !from.is_some_and(is_inside) {
            return Err(Denied::Address);
        }
        if self.scopes.contains(&scope) { Ok(()) } else { Err(Denied::Scope(scope)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_what_its_scopes_say_from_where_it_may() {
        let rights = KeyRights {
            scopes: BTreeSet::from([KeyScope::Checks]),
            networks: vec![Network::parse("10.0.0.0/8").unwrap(), Network::parse("2001:db8::/32").unwrap()],
        };
        let check = |scope, from: Option<&str>| rights.check(scope, from.map(|from| from.parse().unwrap()));
        assert_eq!(check(KeyScope::Checks, Some("10.1.2.3")), Ok(()));
        assert_eq!(check(KeyScope::Checks, Some("::ffff:10.1.2.3")), Ok(()));
        assert_eq!(check(KeyScope::Checks, Some("2001:db8::7")), Ok(()));
        assert_eq!(check(KeyScope::Checks, Some("11.1.2.3")), Err(Denied::Address));
        assert_eq!(check(KeyScope::Checks, None), Err(Denied::Address));
        assert_eq!(check(KeyScope::MessagesSend, Some("10.1.2.3")), Err(Denied::Scope(KeyScope::MessagesSend)));
        let anywhere = KeyRights { networks: Vec::new(), ..rights };
        assert_eq!(anywhere.check(KeyScope::Checks, None), Ok(()));
    }
}

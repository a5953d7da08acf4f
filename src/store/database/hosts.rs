//! The address of a database, with one or several hosts.
//!
//! As in libpq, `postgres://user@h1:5432,h2:5433/db?target_session_attrs=read-write` names servers of which one is the
//! primary. Several values of `host`, `hostaddr` and `port` in the query do the same, also for folders of sockets:
//! `postgres:///db?host=/run/a,/run/b`, or `?host=/run/a&host=/run/b`. sqlx supports one host, so each becomes a
//! separate address here.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// Maximum number of hosts in one address.
const MOST: usize = 8;

/// Time limit of the search for the primary at the start.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("the database's address must begin with postgres:// or postgresql://")]
    Scheme,
    #[error("the database's address names {0} hosts; at most {MOST} are allowed")]
    TooMany(usize),
    #[error(
        "the database's address names {hosts} hosts and {ports} ports; name one port for each host, or one for all"
    )]
    Ports { hosts: usize, ports: usize },
    #[error(
        "target_session_attrs={0} in the database's address is not possible: the service writes; \
         use read-write, primary or any"
    )]
    Target(String),
    #[error("the database's address cannot be read")]
    Unreadable(#[source] sqlx::Error),
}

impl From<AddressError> for sqlx::Error {
    fn from(error: AddressError) -> Self {
        match error {
            AddressError::Unreadable(error) => error,
            other => Self::Configuration(Box::new(other)),
        }
    }
}

/// One candidate for each host, in order. Only a server that accepts writes is used, whatever the address says.
pub(super) fn candidates(url: &str) -> Result<Vec<PgConnectOptions>, AddressError> {
    addresses(url)?
        .iter()
        .map(|address| PgConnectOptions::from_str(address).map_err(AddressError::Unreadable))
        .collect()
}

fn addresses(url: &str) -> Result<Vec<String>, AddressError> {
    let (scheme, rest) = url.split_once("://").ok_or(AddressError::Scheme)?;
    if !["postgres", "postgresql"].contains(&scheme) {
        return Err(AddressError::Scheme);
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
    let mut query = Query::read(query)?;
    if !query.hosts.is_empty() && query.ports.is_empty() {
        // The query's hosts with the ports before it, as in libpq.
        query.ports = hosts.split(',').filter_map(port_of).map(str::to_owned).collect();
    }
    // The query takes precedence, as in libpq.
    let hosts = if query.hosts.is_empty() { hosts.split(',').map(str::to_owned).collect() } else { query.hosts };
    if hosts.len() > MOST {
        return Err(AddressError::TooMany(hosts.len()));
    }
    let ports = query.ports.len();
    if ports > 1 && ports != hosts.len() {
        return Err(AddressError::Ports { hosts: hosts.len(), ports });
    }
    let user = user.map_or_else(String::new, |user| format!("{user}@"));
    let address = |(i, host): (usize, &String)| {
        let port = query.ports.get(i).or(query.ports.first()).map(|port| format!("port={port}"));
        let is_socket = host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
        let (authority, host) = if is_socket { ("localhost", Some(format!("host={host}"))) } else { (&**host, None) };
        let parameters: Vec<String> = host.into_iter().chain(port).chain(query.others.iter().cloned()).collect();
        let question = if parameters.is_empty() { "" } else { "?" };
        format!("postgres://{user}{authority}/{database}{question}{}", parameters.join("&"))
    };
    Ok(hosts.iter().enumerate().map(address).collect())
}

fn port_of(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then_some(port)
}

/// The parameters after `?`, still percent-encoded.
#[derive(Default)]
struct Query {
    hosts: Vec<String>,
    ports: Vec<String>,
    others: Vec<String>,
}

impl Query {
    fn read(text: &str) -> Result<Self, AddressError> {
        let mut query = Self::default();
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.replace("%2C", ",").replace("%2c", ",");
            let list = || value.split(',').map(str::to_owned);
            match name {
                "host" | "hostaddr" => query.hosts.extend(list()),
                "port" => query.ports.extend(list()),
                "target_session_attrs" => match &*value {
                    "any" | "read-write" | "primary" => {}
                    other => return Err(AddressError::Target(other.to_owned())),
                },
                // We set these in the code; sqlx supports neither.
                "connect_timeout" | "load_balance_hosts" => {}
                _ => query.others.push(parameter.to_owned()),
            }
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_gets_an_address() {
        let table: [(&str, &[&str]); 10] = [
            ("postgres://u@localhost:6432/d?host=/run/a", &["postgres://u@localhost/d?host=/run/a&port=6432"]),
            ("postgres://u@[::1]/d?host=h1,h2&port=5", &["postgres://u@h1/d?port=5", "postgres://u@h2/d?port=5"]),
            ("postgres://u:p@h/d", &["postgres://u:p@h/d"]),
            ("postgresql://h", &["postgres://h/"]),
            (
                "postgres://u:p%40@h1:1,h2:2/d?target_session_attrs=read-write&sslmode=require",
                &["postgres://u:p%40@h1:1/d?sslmode=require", "postgres://u:p%40@h2:2/d?sslmode=require"],
            ),
            ("postgres://u@[::1]:5,h/d", &["postgres://u@[::1]:5/d", "postgres://u@h/d"]),
            (
                "postgres:///d?host=/run/a,/run/b&port=5432",
                &["postgres://localhost/d?host=/run/a&port=5432", "postgres://localhost/d?host=/run/b&port=5432"],
            ),
            (
                "postgres://u@localhost/d?host=/run/a&host=%2Frun%2Fb",
                &["postgres://u@localhost/d?host=/run/a", "postgres://u@localhost/d?host=%2Frun%2Fb"],
            ),
            (
                "postgres://u@/d?host=h1%2Ch2&port=1,2&connect_timeout=3",
                &["postgres://u@h1/d?port=1", "postgres://u@h2/d?port=2"],
            ),
            ("postgres://u@%2Frun%2Fa/d", &["postgres://u@localhost/d?host=%2Frun%2Fa"]),
        ];
        for (url, expected) in table {
            assert_eq!(addresses(url).unwrap(), expected, "{url}");
            assert_eq!(candidates(url).unwrap().len(), expected.len(), "{url}");
        }
    }

    #[test]
    fn candidates_lead_where_the_address_says() {
        let found = candidates("postgres://u:p@h1:1,h2/d?target_session_attrs=primary").unwrap();
        let places: Vec<_> = found.iter().map(|one| (one.get_host(), one.get_port(), one.get_database())).collect();
        assert_eq!(places, [("h1", 1, Some("d")), ("h2", 5432, Some("d"))]);
        let found = candidates("postgres:///d?host=/run/a,/run/b").unwrap();
        let sockets: Vec<_> = found.iter().map(|one| one.get_socket().unwrap().to_str().unwrap()).collect();
        assert_eq!(sockets, ["/run/a", "/run/b"]);
    }

    #[test]
    fn wrong_addresses_are_refused() {
        assert!(matches!(addresses("mysql://h/d"), Err(AddressError::Scheme)));
        assert!(matches!(addresses("h/d"), Err(AddressError::Scheme)));
        assert!(matches!(addresses("postgres://a,b,c/d?port=1,2"), Err(AddressError::Ports { hosts: 3, ports: 2 })));
        assert!(matches!(addresses("postgres://h/d?target_session_attrs=standby"), Err(AddressError::Target(_))));
        assert!(matches!(addresses("postgres://1,2,3,4,5,6,7,8,9/d"), Err(AddressError::TooMany(9))));
    }
}

//! Message prices per account and country, from price lists with a period of validity.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::price::Price;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(BTreeMap<String, AccountPrices>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountPrices {
    /// The price where no list says otherwise.
    pub flat: Option<Price>,
    pub lists: Vec<PriceList>,
}

impl AccountPrices {
    /// Every price in every list, whatever its period.
    pub fn all(&self) -> impl Iterator<Item = &Price> {
        let listed = self.lists.iter().flat_map(|list| list.countries.values().chain(&list.other));
        listed.chain(&self.flat)
    }
}

/// A price list of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList {
    /// Its first day.
    pub from: NaiveDate,
    /// The first day on which it is no longer valid.
    pub until: Option<NaiveDate>,
    /// By ISO 3166-1 alpha-2.
    pub countries: BTreeMap<String, Price>,
    /// For countries that are not listed.
    pub other: Option<Price>,
}

impl PriceList {
    pub fn is_valid(&self, on: NaiveDate) -> bool {
        self.from <= on && self.until.is_none_or(|until| on < until)
    }

    fn of(&self, country: &str) -> Option<&Price> {
        self.countries.get(country).or(self.other.as_ref())
    }
}

impl Prices {
    pub fn new(accounts: impl IntoIterator<Item = (String, AccountPrices)>) -> Self {
        Self(accounts.into_iter().collect())
    }

    pub fn account(&self, account: &str) -> Option<&AccountPrices> {
        self.0.get(account)
    }

    /// Among the valid lists that contain the country, the one with the latest first day counts.
    pub fn of(&self, account: &str, country: &str, on: NaiveDate) -> Option<&Price> {
        let account = self.0.get(account)?;
        let valid = account.lists.iter().filter(|list| list.is_valid(on) && list.of(country).is_some());
        valid.max_by_key(|list| list.from).and_then(|list| list.of(country)).or(account.flat.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_began_last_counts_while_it_is_valid() {
        let price = |text: &str| text.parse::<Price>().unwrap();
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let list = |from, until: Option<&str>, id: Option<&str>, other: Option<&str>| PriceList {
            from: day(from),
            until: until.map(day),
            countries: id.map(|id| ("ID".to_owned(), price(id))).into_iter().collect(),
            other: other.map(price),
        };
        let lists = vec![
            list("2026-01-01", None, Some("0.30 USD"), Some("0.05 USD")),
            list("2026-06-01", Some("2026-07-01"), Some("0.25 USD"), None),
        ];
        let flat = Some(price("0.09 USD"));
        let prices = Prices::new([
            ("a".to_owned(), AccountPrices { flat: flat.clone(), lists }),
            ("b".to_owned(), AccountPrices { flat, lists: Vec::new() }),
        ]);
        for (account, country, on, expected) in [
            ("a", "ID", "2025-12-31", Some("0.09 USD")),
            ("a", "ID", "2026-01-01", Some("0.30 USD")),
            ("a", "BR", "2026-01-01", Some("0.05 USD")),
            ("a", "ID", "2026-06-01", Some("0.25 USD")),
            ("a", "BR", "2026-06-15", Some("0.05 USD")),
            ("a", "ID", "2026-07-01", Some("0.30 USD")),
            ("b", "ID", "2026-07-01", Some("0.09 USD")),
            ("c", "ID", "2026-07-01", None),
        ] {
            assert_eq!(prices.of(account, country, day(on)), expected.map(price).as_ref(), "{account} {country} {on}");
        }
    }
}

//! What an attempt costs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths of a currency unit, and its ISO 4217 code. Written `0.04 USD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub micros: i64,
    pub currency: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an amount with at most 6 decimals and a currency, such as 0.04 USD")]
pub struct PriceError;

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let (amount, currency) = text.split_once(' ').ok_or(PriceError)?;
        let (units, decimals) = amount.split_once('.').unwrap_or((amount, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let fits = (1..=6).contains(&units.len())
            && decimals.len() <= 6
            && digits(units)
            && digits(decimals)
            && !amount.ends_with('.')
            && currency.len() == 3
            && currency.bytes().all(|b| b.is_ascii_uppercase());
        if !fits {
            return Err(PriceError);
        }
        let micros = format!("{units}{decimals:0<6}").parse().map_err(|_| PriceError)?;
        Ok(Self { micros, currency: currency.to_owned() })
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.micros % 1_000_000);
        let decimals = decimals.trim_end_matches('0');
        write!(f, "{}.{decimals:0<2} {}", self.micros / 1_000_000, self.currency)
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_and_written() {
        for (text, micros, written) in [
            ("0.04 USD", 40_000, "0.04 USD"),
            ("350 IDR", 350_000_000, "350.00 IDR"),
            ("0.0075 EUR", 7_500, "0.0075 EUR"),
        ] {
            let price: Price = text.parse().unwrap();
            assert_eq!((price.micros, price.to_string().as_str()), (micros, written));
        }
        for wrong in
            ["", "0.04", "0.04USD", "0,04 USD", "-1 USD", "1. USD", ".5 USD", "0.0000001 USD", "1 usd", "1234567 USD"]
        {
            assert_eq!(wrong.parse::<Price>(), Err(PriceError), "{wrong}");
        }
    }
}

//! All faces: one row per provider.

use otpost_domain::channel::Channel;

use crate::engine::account::{SENDERS, SimAccount};
use crate::engine::face::Face;

#[path = "faces"]
pub mod faces {
    pub mod meta;
    pub mod ycloud;
    pub mod cliqtel;
    pub mod infobip;
    pub mod sleekflow;
    pub mod twilio;
    pub mod vonage;
    pub mod engagelab;
    pub mod described;
}

/// In the order of the default accounts. The first accounts of WhatsApp and of SMS are the route of simulator settings.
static ROWS: &[&[&dyn Face]] = &[
    faces::meta::FACES,
    faces::ycloud::FACES,
    faces::cliqtel::FACES,
    faces::infobip::FACES,
    faces::sleekflow::FACES,
    faces::twilio::FACES,
    faces::vonage::FACES,
    faces::engagelab::FACES,
    faces::described::FACES,
];

pub(crate) fn all() -> impl Iterator<Item = &'static dyn Face> {
    ROWS.iter().flat_map(|row| row.iter().copied())
}

pub(crate) fn face(name: &str) -> Option<&'static dyn Face> {
    all().find(|face| face.name() == name)
}

/// The simulator's default accounts: one per face.
pub(crate) fn sim_accounts() -> Vec<SimAccount> {
    all()
        .map(|face| {
            let senders: &[&str] = if face.channel() == Channel::Sms { &SENDERS } else { &[] };
            SimAccount { senders: senders.iter().map(|&text| text.to_owned()).collect(), ..face.default_account() }
        })
        .collect()
}

/// An account of a service that uses the default account of a face.
#[derive(Clone, Debug)]
pub struct DefaultAccount {
    /// The same in the simulator and the service.
    pub name: String,
    pub channel: Channel,
    /// Lines of the table `[accounts.NAME]` of the service's settings, without its heading, the channel, the price and
    /// limits.
    pub settings: String,
    /// What follows the address of the account's callbacks: nothing, or a query with its `?`.
    pub callback_query: &'static str,
}

/// One for each face, in the order of the registry. `url`: the simulator's, without a slash at its end.
pub fn default_accounts(url: &str) -> Vec<DefaultAccount> {
    all()
        .map(|face| {
            let product = face.product();
            DefaultAccount {
                name: face.default_account().name,
                channel: product.channel,
                settings: face.service_settings(&format!("{url}/{}", product.base_path)),
                callback_query: product.callback_query,
            }
        })
        .collect()
}

/// What a service's settings need to know about an account, for display.
#[derive(Clone, Debug)]
pub struct FaceInfo {
    pub channel: Channel,
    /// The provider's name.
    pub title: &'static str,
    /// First part of its paths.
    pub base_path: &'static str,
    /// Ids and senders; may be empty.
    pub hint: String,
}

/// `None`: the account's face does not exist.
pub fn face_info(account: &SimAccount) -> Option<FaceInfo> {
    let face = face(&account.face)?;
    let product = face.product();
    let hint = face.hint(account);
    Some(FaceInfo { channel: product.channel, title: product.title, base_path: product.base_path, hint })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_draw_numbers_are_taken_once() {
        let count = all().count();
        let names: BTreeSet<_> = all().map(|face| face.name()).collect();
        let numbers: BTreeSet<_> = all().map(|face| face.product().draw_no).collect();
        let accounts: BTreeSet<_> = sim_accounts().into_iter().map(|account| account.name).collect();
        assert_eq!(names.len(), count, "two faces have one name: {names:?}");
        assert_eq!(numbers.len(), count, "two faces have one `draw_no`; the next is {}", numbers.len() + 1);
        assert_eq!(accounts.len(), count, "two faces have a default account of one name: {accounts:?}");
    }

    #[test]
    fn every_address_begins_with_the_face_s_base_path() {
        for face in all() {
            let product = face.product();
            let base = format!("/{}/", product.base_path);
            assert!(!product.routes.is_empty(), "{}", product.name);
            for route in product.routes {
                assert!(route.path().starts_with(&base), "{route:?}");
            }
        }
    }
}

//! Status queries.

use actix_web::HttpResponse;

use crate::engine::account::Mode;
use crate::engine::accounts;
use crate::engine::answer::answer;
use crate::engine::face::{Call, Face, StatusQuery, Trouble};
use crate::engine::world::World;

/// `faces`: those at the address of the call, at least one. The first one with the message answers.
pub(crate) fn status(world: &World, faces: &[&'static dyn Face], call: &Call<'_>) -> HttpResponse {
    let mut otherwise = None;
    for face in faces.iter().copied() {
        let account = match accounts::find(world, face, call) {
            Ok(no) => &world.accounts[no],
            Err(trouble) => {
                otherwise.get_or_insert_with(|| face.trouble(trouble));
                continue;
            }
        };
        if matches!(account.live().mode, Mode::Outage | Mode::Refuse) {
            return answer(face.trouble(Trouble::Outage));
        }
        let query = StatusQuery { call, face: face.name(), account: &account.fixed, book: &world.book };
        match face.status(&query) {
            Some(body) => return HttpResponse::Ok().json(body),
            // Takes precedence over another face's answer to a credential that is not its own.
            None => otherwise = Some(face.no_such_message()),
        }
    }
    otherwise.map_or_else(|| HttpResponse::NotFound().finish(), answer)
}

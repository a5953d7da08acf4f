//! Selects the face of a request and the account of that face.

use crate::engine::face::{Call, Face, Trouble};
use crate::engine::world::World;

/// Of the faces at one address, the one that the request is for; if several are possible, the one whose credential it
/// contains.
pub(crate) fn face_for(world: &World, faces: &[&'static dyn Face], call: &Call<'_>) -> &'static dyn Face {
    let meant: Vec<_> = faces.iter().copied().filter(|face| face.is_meant(call)).collect();
    match meant[..] {
        [] => faces[0],
        [only] => only,
        [first, ..] => meant.into_iter().find(|face| find(world, *face, call).is_ok()).unwrap_or(first),
    }
}

/// Index of the account that the credential and the path belong to.
///
/// # Errors
/// [`Trouble::Unauthorized`] for a credential of no account; [`Trouble::NoSuchMessage`] for a path of another account.
pub(crate) fn find(world: &World, face: &'static dyn Face, call: &Call<'_>) -> Result<usize, Trouble> {
    let shown = face.credential(call).filter(|shown| !shown.is_empty()).ok_or(Trouble::Unauthorized)?;
    let mut is_known = false;
    for (no, account) in world.accounts.iter().enumerate() {
        if account.face.name() == face.name() && account.fixed.credential == shown {
            is_known = true;
            if face.fits_path(&account.fixed, call) {
                return Ok(no);
            }
        }
    }
    Err(if is_known { Trouble::NoSuchMessage } else { Trouble::Unauthorized })
}

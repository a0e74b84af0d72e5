//! Records where a device is before anything is minted for it there.
//!
//! * A device that stays is written once an hour; new addresses have a budget of their account.

use crate::app::App;
use crate::http::refusal::Refusal;
use crate::now::Now;
use crate::presence::contact::Contact;
use crate::revoke::place::Place;
use std::sync::PoisonError;
use wire::json::name::DeviceId;
use wire::json::problem::ProblemKind;

/// Makes sure that the store has these contacts of a device before anything is minted for them.
///
/// # Errors
/// More new places than a device has a use for; a store that cannot be written.
pub(crate) async fn note(
    app: &App,
    device: DeviceId,
    contacts: &mut [Contact],
    now: Now,
) -> Result<(), Refusal> {
    let account = {
        let directory = app.registry.directory();
        for contact in &mut *contacts {
            contact.noted_until_s = directory.noted_until_s(&device, contact);
        }
        directory.account_of(&device)
    };
    let soon_s = now.unix_s.saturating_add(LEAST_AHEAD_S);
    let unnoted = contacts.iter().filter(|contact| contact.noted_until_s < soon_s);
    let until_s = now.unix_s.saturating_add(AHEAD_S);
    let place = |contact: &Contact| Place {
        device,
        reflector: contact.reflector.clone(),
        address: contact.address,
        until_s,
    };
    let places: Vec<Place> = unnoted.map(place).collect();
    if places.is_empty() {
        return Ok(());
    }
    let fresh = contacts.iter().filter(|contact| contact.noted_until_s == 0).count();
    if let Some(account) = account.filter(|_| fresh > 0) {
        let mut budgets = app.changes.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.places.take(&account, fresh as u64, now.boot_ms()).map_err(|wait_s| {
            let detail = format!("this account's devices came from too many addresses; wait {wait_s} s");
            Refusal::new(ProblemKind::Budget, detail).after(wait_s)
        })?;
    }
    if !app.places.write(places).await {
        let detail = "the store cannot be written now, so nothing is minted; try again";
        return Err(Refusal::new(ProblemKind::Busy, detail).after(5));
    }
    for contact in contacts.iter_mut().filter(|contact| contact.noted_until_s < soon_s) {
        contact.noted_until_s = until_s;
    }
    Ok(())
}

/// How far ahead a place is noted, so that a device that stays is written once an hour.
const AHEAD_S: u32 = 4_200;
/// From a note to its end at least: a contact is handed out for its ticket and the grace, and what is minted lives 540 s.
const LEAST_AHEAD_S: u32 = 600;

//! Devices and buddies: the calls that change what is stored.
//!
//! * A password is judged behind a budget and a gate, and an unknown account takes the same way and time as a wrong one.
//! * Asking an account that does not exist is answered as asking one that does not answer.

use crate::accounts::registry;
use crate::accounts::registry::Registry;
use crate::app::App;
use crate::counters::PasswordCheck;
use crate::http::answer;
use crate::http::call::Call;
use crate::http::refusal::Refusal;
use crate::http::request::{Peer, json};
use crate::http::sessions::{device, note};
use crate::mint::sight::Sight;
use crate::now::Now;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use wire::json::device::{DeviceAnswer, DeviceRequest};
use wire::json::login::Privacy;
use wire::json::name::{AccountName, DeviceId};
use wire::json::problem::ProblemKind;
use wire::json::profile::{Buddy, BuddyState, Profile};

/// `POST /v1/devices`.
pub(crate) async fn devices(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let peer = Peer::of(&request);
    let request: DeviceRequest = json(request).await?;
    check(&request)?;
    let now_ms = app.clock.now().boot_ms();
    let budgets = || app.budgets.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = budgets().take(&request.account, peer.ip, now_ms).map_err(|wait_s| {
        app.counters.note_password(PasswordCheck::Budget);
        Refusal::new(ProblemKind::Budget, format!("for this account or from this network; wait {wait_s} s"))
            .after(wait_s)
    })?;
    let Some(turn) = app.passwords.turn().await else {
        budgets().give_back(taken);
        app.counters.note_password(PasswordCheck::Busy);
        return Err(
            Refusal::new(ProblemKind::Busy, "too many passwords are being checked; try again").after(2)
        );
    };
    let registry = Arc::clone(&app.registry);
    let outcome = blocking(move || -> Result<Option<DeviceId>, registry::Refusal> {
        match registry.verify(&request.account, &request.password.0)? {
            true => registry.enrol(&request).map(Some),
            false => Ok(None),
        }
    })
    .await?;
    drop(turn);
    let Some(device) = outcome.map_err(|refusal| refused(&refusal))? else {
        app.counters.note_password(PasswordCheck::Wrong);
        return Err(Refusal::new(
            ProblemKind::Credentials,
            "check both; an operator sets a new one with `account password`",
        ));
    };
    budgets().give_back(taken);
    app.counters.note_password(PasswordCheck::Right);
    let reflectors = app.offered(&app.rules.load());
    answer::json(&DeviceAnswer { device, reflectors })
}

/// `PUT /v1/buddies/{account}`.
pub(crate) async fn ask(app: &App, parts: &Parts, account: &str) -> Result<Response<Body>, Refusal> {
    let (now, rules) = (app.clock.now(), app.rules.load_full());
    let device = device(app, &parts.headers, now)?;
    let (from, to) = pair(app, device, account)?;
    let other = to.clone();
    blocking_change(app, move |registry| registry.ask(&from, &to)).await?;
    let offered = app.offered(&rules);
    let mut minted = Vec::new();
    let (profile, buddy) = {
        let directory = &app.registry.directory();
        let sight = Sight { directory, rules: &rules, offered: &offered, device, now };
        let account = directory.account_of(&device).unwrap_or_else(|| other.clone());
        // The other side may have ended it in this very moment.
        let ended = || Buddy { account: other.clone(), state: BuddyState::Asked, devices: Vec::new() };
        let buddy = sight.buddy(&other, &mut minted).unwrap_or_else(ended);
        (Profile { version: directory.version(&account), account, buddies: Vec::new() }, buddy)
    };
    note(app, Call::Ask, (&profile, device), &rules, &minted, now).await?;
    answer::json(&buddy)
}

/// `DELETE /v1/buddies/{account}`.
pub(crate) async fn end(app: &App, parts: &Parts, account: &str) -> Result<Response<Body>, Refusal> {
    let now = app.clock.now();
    let device = device(app, &parts.headers, now)?;
    let (from, to) = pair(app, device, account)?;
    if app.registry.directory().state(&from, &to) == Some(BuddyState::Agreed) {
        may_take_back(app, &from, now)?;
    }
    let numbers = blocking_change(app, move |registry| registry.unask(&from, &to, now)).await?;
    let progress = app.registry.outbox().wait(&numbers, DELIVERY).await;
    // The friendship has ended either way; 202 says that some host has yet to acknowledge it.
    Ok(answer::empty(if progress.lacking.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED }))
}

/// `PUT /v1/privacy`: hides the addresses of the calling device from its buddies, or shows them.
pub(crate) async fn privacy(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let now = app.clock.now();
    let device = device(app, request.headers(), now)?;
    let privacy: Privacy = json(request).await?;
    let account =
        app.registry.directory().account_of(&device).ok_or_else(crate::http::request::no_session)?;
    may_take_back(app, &account, now)?;
    let change = move |registry: &Registry| registry.hide_device(&device, privacy.hide_address, now);
    let numbers = blocking_change(app, change).await?;
    app.registry.outbox().wait(&numbers, DELIVERY).await;
    answer::json(&privacy)
}

/// Spends the budget that an account has for taking rights back.
fn may_take_back(app: &App, account: &AccountName, now: Now) -> Result<(), Refusal> {
    let mut budgets = app.changes.lock().unwrap_or_else(PoisonError::into_inner);
    budgets.endings.take(account, 1, now.boot_ms()).map_err(|wait_s| {
        let detail = format!("this account has had rights taken back too often; wait {wait_s} s");
        Refusal::new(ProblemKind::Budget, detail).after(wait_s)
    })
}

fn pair(app: &App, device: DeviceId, account: &str) -> Result<(AccountName, AccountName), Refusal> {
    let to = account.parse().map_err(|error: wire::json::name::NameError| {
        Refusal::new(ProblemKind::Malformed, format!("the path names no account: {error}"))
    })?;
    let from = app.registry.directory().account_of(&device).ok_or_else(crate::http::request::no_session)?;
    Ok((from, to))
}

fn check(request: &DeviceRequest) -> Result<(), Refusal> {
    let malformed = |detail: &str| Err(Refusal::new(ProblemKind::Malformed, detail));
    if request.password.0.len() > crate::accounts::password::LONGEST {
        return malformed("a password has at most 256 bytes");
    }
    match &request.name {
        Some(name) if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) => {
            malformed("a device's name has at most 64 characters and no control characters")
        }
        _ => Ok(()),
    }
}

async fn blocking_change<T: Send + 'static>(
    app: &App,
    change: impl FnOnce(&Registry) -> Result<T, registry::Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let registry = Arc::clone(&app.registry);
    blocking(move || change(&registry)).await?.map_err(|refusal| refused(&refusal))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| answer::failed(&error))
}

fn refused(refusal: &registry::Refusal) -> Refusal {
    use registry::Refusal as It;
    match refusal {
        It::Devices | It::Buddies => Refusal::new(ProblemKind::Limit, refusal.to_string()),
        It::Key | It::Oneself => Refusal::new(ProblemKind::Malformed, refusal.to_string()),
        It::Unknown(_) | It::Exists(_) | It::Store(_) => answer::failed(refusal),
    }
}

const LONGEST_NAME: usize = 64;
/// How long an answer waits for the reflectors' hosts.
pub(crate) const DELIVERY: Duration = Duration::from_secs(2);

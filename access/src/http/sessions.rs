//! Challenge, login, refresh, profile, logout: how a device becomes a session, stays one and ends.
//!
//! * A login is judged whole before anything is said: device, nonce and signature are wrong together, in one answer and
//!   after the same work, and no ticket is looked at before they are right.
//! * What was minted is in the audit log's hands before it is answered.

use crate::accounts::challenge::CHALLENGE_S;
use crate::app::{App, leases};
use crate::counters::Layer;
use crate::http::answer;
use crate::http::call::Call;
use crate::http::noting;
use crate::http::refusal::Refusal;
use crate::http::request::{json, no_session, session, version};
use crate::mint::audit::Line;
use crate::mint::sight::{Minted, Sight};
use crate::now::Now;
use crate::presence::contact::prove_all;
use crate::presence::lease::SessionHash;
use crate::presence::sessions::{Renewed, Shown};
use crate::rules::Rules;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use ed25519_dalek::{Signature, VerifyingKey};
use program::random;
use sha2::{Digest, Sha256};
use wire::json::base64url::Bytes;
use wire::json::login::{
    ChallengeAnswer, ChallengeRequest, LoginAnswer, LoginRequest, RefreshRequest, Session,
};
use wire::json::name::DeviceId;
use wire::json::problem::ProblemKind;
use wire::json::profile::Profile;

/// `POST /v1/challenge`: a nonce, for whatever device is named.
pub(crate) async fn challenge(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let ChallengeRequest { device } = json(request).await?;
    let nonce = app.challenges.nonce(&device, app.clock.now());
    answer::json(&ChallengeAnswer { nonce, expires_s: CHALLENGE_S })
}

/// `POST /v1/login`.
pub(crate) async fn login(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let request: LoginRequest = json(request).await?;
    let (now, rules) = (app.clock.now(), app.rules.load_full());
    let key = app.registry.directory().device(&request.device).map(|device| device.sign_key);
    let signed = is_signed(&request, &rules.server_names, key.as_ref());
    let nonce = app.challenges.verify(&request.device, &request.nonce, now).filter(|_| signed);
    let nonce = nonce.ok_or_else(|| proves_nothing(&rules))?;
    let mut contacts = prove_all(&request.contacts, &rules, now.unix_s)?;
    noting::note(app, request.device, &mut contacts, now).await?;
    let session = Session(Bytes(random::bytes().map_err(|error| answer::failed(&error))?));
    let shown = Shown { session: hash(&session), nat: request.nat.0, contacts };
    let let_in = app.registry.presence().login(request.device, nonce, shown, leases(&rules), now);
    let incarnation = let_in.map_err(|_| proves_nothing(&rules))?;
    let renewed = Renewed { device: request.device, incarnation };
    everything(app, &rules, Call::Login, renewed, session, now).await
}

/// `POST /v1/refresh`.
pub(crate) async fn refresh(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let session = session(request.headers())?;
    let (now, rules) = (app.clock.now(), app.rules.load_full());
    let device = device(app, request.headers(), now)?;
    let request: RefreshRequest = json(request).await?;
    let mut contacts = prove_all(&request.contacts, &rules, now.unix_s)?;
    noting::note(app, device, &mut contacts, now).await?;
    let nat = request.nat.map(|nat| nat.0);
    let renewed = app.registry.presence().refresh(&hash(&session), nat, contacts, leases(&rules), now);
    everything(app, &rules, Call::Refresh, renewed.ok_or_else(no_session)?, session, now).await
}

/// `GET /v1/profile`, or 304 when the reader has this version.
pub(crate) async fn profile(app: &App, parts: &Parts) -> Result<Response<Body>, Refusal> {
    let (now, rules) = (app.clock.now(), app.rules.load_full());
    let device = device(app, &parts.headers, now)?;
    if let Some(known) = version(parts)? {
        let directory = app.registry.directory();
        if directory.account_of(&device).is_some_and(|account| directory.version(&account) == known) {
            return Ok(answer::empty(StatusCode::NOT_MODIFIED));
        }
    }
    let offered = app.offered(&rules);
    let sight = |directory| Sight { directory, rules: &rules, offered: &offered, device, now };
    let seen = sight(&app.registry.directory()).profile();
    let (profile, minted) = seen.ok_or_else(no_session)?;
    note(app, Call::Profile, (&profile, device), &rules, &minted, now).await?;
    answer::json(&profile)
}

/// `POST /v1/logout`.
pub(crate) fn logout(app: &App, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let ended = app.registry.presence().logout(&hash(&session(headers)?), app.clock.now());
    if ended { Ok(answer::empty(StatusCode::NO_CONTENT)) } else { Err(no_session()) }
}

/// The device of a request's session.
pub(crate) fn device(app: &App, headers: &HeaderMap, now: Now) -> Result<DeviceId, Refusal> {
    let session = hash(&session(headers)?);
    app.registry.directory().session(&session, now).ok_or_else(no_session)
}

/// Hands a line over to the audit log, and counts.
pub(crate) async fn note(
    app: &App,
    call: Call,
    (profile, device): (&Profile, DeviceId),
    rules: &Rules,
    minted: &[Minted],
    now: Now,
) -> Result<(), Refusal> {
    let line = Line::of_device(call.as_str(), (&profile.account, device), rules.terms.class, minted, now);
    if !app.audit.write(&line).await {
        return Err(answer::audit_is_behind());
    }
    app.counters.note_minted(Layer::Buddies, minted.len());
    Ok(())
}

/// The answer to a login or a refresh. The incarnation is the one that the change of the session returned, because another
/// login may have come since then.
async fn everything(
    app: &App,
    rules: &Rules,
    call: Call,
    Renewed { device, incarnation }: Renewed,
    session: Session,
    now: Now,
) -> Result<Response<Body>, Refusal> {
    let offered = app.offered(rules);
    let sight = |directory| Sight { directory, rules, offered: &offered, device, now };
    let (seen, hide_address) = {
        let directory = &app.registry.directory();
        let hides = directory.device(&device).is_some_and(|it| directory.hides(it));
        (sight(directory).profile(), hides)
    };
    let (profile, minted) = seen.ok_or_else(no_session)?;
    note(app, call, (&profile, device), rules, &minted, now).await?;
    answer::json(&LoginAnswer {
        session,
        incarnation,
        lease_s: rules.terms.lease_s,
        keepalive_s: rules.terms.keepalive_s,
        profile,
        reflectors: offered,
        hide_address,
    })
}

/// Whether the device signed this request for this server; without a key the same work is done for nothing.
fn is_signed(request: &LoginRequest, server_names: &[String], key: Option<&VerifyingKey>) -> bool {
    let signature = Signature::from_bytes(&request.signature.0.0);
    // The curve's base point is nobody's key.
    let nobody = || VerifyingKey::from_bytes(&NOBODY).ok();
    let Some(verifying) = key.copied().or_else(nobody) else { return false };
    let fits = |name: &String| verifying.verify_strict(&request.signed_bytes(name), &signature).is_ok();
    server_names.iter().any(fits) && key.is_some()
}

fn proves_nothing(rules: &Rules) -> Refusal {
    let name = rules.server_names.first().map(String::as_str).unwrap_or_default();
    Refusal::new(
        ProblemKind::Login,
        format!(
            "device, nonce and signature do not fit together, or the nonce is older than {CHALLENGE_S} s or used; take \
             a new one from POST /v1/challenge, and sign for the server name {name}"
        ),
    )
}

fn hash(session: &Session) -> SessionHash {
    Sha256::digest(session.0.0).into()
}

/// The base point of Ed25519 (RFC 8032 section 5.1), whose private scalar no key pair has.
const NOBODY: [u8; 32] = {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    point
};

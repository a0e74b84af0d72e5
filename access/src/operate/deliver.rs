//! The way of revocations to the reflectors' hosts: `POST /v1/revocations` at their admin listeners.
//!
//! * All hosts are told at once, each by a task of its own; one that does not answer holds up nobody.
//! * To a host that has had it before, its age goes along, so that it ends no later there for being sent again.

use crate::app::App;
use crate::hosts::AdminListener;
use crate::revoke::outbox::{Host, Parcel, Revocation, STAY_S};
use crate::rules::Rules;
use http::{Answer, Call, Method};
use std::sync::Arc;
use std::time::Duration;
use wire::json::problem::Problem;
use wire::json::revocations::{RevocationsAnswer, RevocationsRequest};

/// Delivers for ever.
pub async fn run(app: Arc<App>) {
    let mut changes = app.registry.outbox().changes();
    loop {
        let outbox = app.registry.outbox();
        let rules = app.rules.load_full();
        outbox.keep(&hosts(&rules));
        for parcel in outbox.due(app.clock.now().boot_ms()) {
            tokio::spawn(hand_over(Arc::clone(&app), Arc::clone(&rules), parcel));
        }
        // Also wakes by the clock, to retry hosts that did not answer and to notice those that have restarted.
        let _ = tokio::time::timeout(TURN, changes.changed()).await;
    }
}

/// The hosts that can be told: none without a token.
pub fn hosts(rules: &Rules) -> Vec<Host> {
    let host = |it: &AdminListener| Host { reflector: it.reflector.clone(), url: it.url.clone() };
    rules.admins.iter().filter(|_| rules.admin_token.is_some()).map(host).collect()
}

async fn hand_over(app: Arc<App>, rules: Arc<Rules>, parcel: Parcel) {
    let outcome = send(&rules, &parcel, app.clock.now().unix_s).await;
    let host = &parcel.host;
    app.counters.note_revocations(outcome.is_ok());
    let (reflector, url, entries) = (host.reflector.as_str(), host.url.as_str(), parcel.entries.len());
    let refused = outcome.as_ref().err().map(ToString::to_string);
    app.registry.outbox().note(&parcel, outcome, app.clock.now().boot_ms());
    match refused {
        None if entries == 0 => {}
        None => tracing::info!(reflector, host = url, entries, "a host has acknowledged revocations"),
        Some(reason) => tracing::warn!(
            reflector,
            host = url,
            %reason,
            "a host has not acknowledged revocations; it is asked again"
        ),
    }
}

/// Sends a parcel and returns the host's start id.
async fn send(rules: &Rules, parcel: &Parcel, now_s: u32) -> Result<String, String> {
    let Host { reflector, url } = &parcel.host;
    let listener = rules.admins.iter().find(|it| it.reflector == *reflector && it.url == *url);
    let listener = listener.ok_or("it is configured no more")?;
    let token = rules.admin_token.as_ref().ok_or("there is no --reflector-admin-token")?;
    let call = |json: Option<Vec<u8>>| Call {
        method: if json.is_some() { Method::POST } else { Method::GET },
        path: "/v1/revocations",
        bearer: Some(String::from(token.reveal())),
        json,
    };
    let client = listener.client(rules.admin_tls.as_ref(), PATIENCE);
    if parcel.entries.is_empty() {
        let answer = client.call(call(None)).await.map_err(|error| error.to_string())?;
        return start_id(&answer);
    }
    let mut id = String::new();
    // Entries of one minute go together, with the age of the youngest: none ends too early.
    let age_s = |entry: &Revocation| match entry.number <= parcel.known {
        true => now_s.saturating_sub(entry.at_s).min(STAY_S),
        false => 0,
    };
    for entries in parcel.entries.chunk_by(|a, b| age_s(a) / 60 == age_s(b) / 60) {
        let age_s = entries.iter().map(age_s).min().unwrap_or(0);
        let revoke = entries.iter().map(|entry| entry.subject).collect();
        let request = RevocationsRequest { revoke, age_s: u64::from(age_s) };
        let json = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
        id = start_id(&client.call(call(Some(json))).await.map_err(|error| error.to_string())?)?;
    }
    Ok(id)
}

fn start_id(answer: &Answer) -> Result<String, String> {
    if answer.is_success() {
        let read = serde_json::from_slice::<RevocationsAnswer>(&answer.body);
        return read.map(|it| it.start_id).map_err(|error| format!("no answer of a reflector: {error}"));
    }
    let problem = serde_json::from_slice::<Problem>(&answer.body);
    Err(problem.map_or_else(
        |_| {
            format!(
                "it answered {}; a reflector revokes only with --admin-token and --revocations",
                answer.reason
            )
        },
        |problem| problem.to_string(),
    ))
}

/// The longest pause between two looks at what is due.
const TURN: Duration = Duration::from_millis(250);
/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

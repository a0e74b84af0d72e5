//! Capabilities for products with users of their own: two tickets in, two headers and a receipt out, nothing remembered; a
//! receipt in, and the right of the two to talk is taken back.
//!
//! * Both tickets are judged by the ring of the one reflector that is named; the service credential comes first.

use crate::app::App;
use crate::counters::Layer;
use crate::http::accounts::DELIVERY;
use crate::http::answer;
use crate::http::call::Call;
use crate::http::refusal::Refusal;
use crate::http::request::{bearer, json};
use crate::mint::audit::{Entry, Line};
use crate::mint::pair::{MAX_LIFETIME_S, Pair};
use crate::presence::contact::{Contact, prove};
use crate::revoke::outbox::Revocation;
use crate::revoke::receipt::Paired;
use crate::rules::Rules;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use std::sync::Arc;
use wire::Form;
use wire::json::capabilities::{CapabilitiesAnswer, CapabilitiesRequest, TakeBackAnswer, TakeBackRequest};
use wire::json::header::HeaderJson;
use wire::json::login::ContactProof;
use wire::json::problem::ProblemKind;
use wire::json::revocations::SubjectJson;
use wire::revoked::Subject;

/// `POST /v1/capabilities`.
pub(crate) async fn capabilities(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let (now, rules) = (app.clock.now(), app.rules.load_full());
    let service = service(&rules, request.headers())?;
    let CapabilitiesRequest { reflector, tickets, class, lifetime_s, sealed } = json(request).await?;
    let form = if sealed { Form::Sealed } else { Form::Plain };
    let class = class.unwrap_or(0);
    let lifetime_s = lifetime_s.unwrap_or(rules.terms.lifetime_s);
    if class > 15 || !(MIN_LIFETIME_S..=MAX_LIFETIME_S).contains(&lifetime_s) {
        let detail = "class is 0 to 15, lifetime_s 10 to 540";
        return Err(Refusal::new(ProblemKind::Malformed, detail));
    }
    let proven = |ticket: HeaderJson| -> Result<Contact, Refusal> {
        let proof = ContactProof { reflector: reflector.clone(), ticket, rtt_us: 0 };
        Ok(prove(&proof, &rules, now.unix_s)?)
    };
    let [first, second] = tickets;
    let (a, b) = (proven(first)?, proven(second)?);
    let ring = rules.ring(&reflector);
    let header = |mine: &Contact, theirs: &Contact| {
        let header = Pair { mine, theirs }.header(ring?, form, class, lifetime_s, 0, now.unix_s);
        header.map(HeaderJson::from)
    };
    let headers = header(&a, &b).zip(header(&b, &a)).ok_or_else(|| {
        Refusal::new(ProblemKind::Ticket, "both tickets are for one address; show those of two sides")
    })?;
    let expires = headers.0.header().expires;
    let entry = |from: &Contact, to: &Contact| Entry {
        reflector: &reflector,
        from: from.address.to_socket(),
        to: to.address.to_socket(),
        account: None,
        device: None,
        sealed,
        expires,
    };
    let call = Call::Capabilities.as_str();
    let minted = vec![entry(&a, &b), entry(&b, &a)];
    let line = Line { at_ms: now.unix_ms, call, account: None, device: None, class, minted };
    if !app.audit.write(&line).await {
        return Err(answer::audit_is_behind());
    }
    app.counters.note_minted(Layer::Service, 2);
    let receipt = rules.receipts.receipt(&service, &Paired { reflector, sides: [a.address, b.address] });
    answer::json(&CapabilitiesAnswer { headers: [headers.0, headers.1], expires, receipt: Some(receipt) })
}

/// `POST /v1/revocations`: takes back what the service had minted, by receipt.
pub(crate) async fn revocations(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let (now, rules) = (app.clock.now(), app.rules.load_full());
    let service = service(&rules, request.headers())?;
    let TakeBackRequest { receipts } = json(request).await?;
    let mut entries = Vec::new();
    for (place, receipt) in receipts.iter().enumerate() {
        let Some(Paired { reflector, sides: [a, b] }) = rules.receipts.read(&service, receipt) else {
            let detail = format!(
                "receipts[{place}] is not one that POST /v1/capabilities gave to this credential under a key in force; \
                 nothing was taken back"
            );
            return Err(Refusal::new(ProblemKind::Malformed, detail));
        };
        let subject = SubjectJson(Subject::pair(a, b));
        entries.push(Revocation { number: 0, reflector, subject, at_s: now.unix_s });
    }
    let registry = Arc::clone(&app.registry);
    let done = tokio::task::spawn_blocking(move || registry.revoke(entries)).await;
    let numbers = done.map_err(|error| answer::failed(&error))?.map_err(|error| answer::failed(&error))?;
    let progress = app.registry.outbox().wait(&numbers, DELIVERY).await;
    answer::json(&TakeBackAnswer {
        revoked: receipts.len(),
        hosts: progress.done,
        waiting: progress.lacking.len(),
        untold: progress.untold,
    })
}

/// The service that asks, as the hash of its credential.
fn service(rules: &Rules, headers: &HeaderMap) -> Result<[u8; 32], Refusal> {
    bearer(headers).and_then(|token| rules.service(token)).ok_or_else(|| {
        let detail = match rules.serves_services() {
            true => "send Authorization: Bearer TOKEN, with a line of the operator's --service-credentials",
            false => "this server has none; its operator gives --service-credentials FILE",
        };
        Refusal::new(ProblemKind::Service, detail)
    })
}

const MIN_LIFETIME_S: u32 = 10;

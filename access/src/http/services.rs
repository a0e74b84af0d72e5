//! Capabilities for products with users of their own: two tickets in, two headers out, nothing remembered.
//!
//! * Both tickets are judged by the ring of the one reflector that is named; the service credential comes first.

use crate::app::App;
use crate::counters::Layer;
use crate::http::answer;
use crate::http::call::Call;
use crate::http::refusal::Refusal;
use crate::http::request::{bearer, json};
use crate::mint::audit::{Entry, Line};
use crate::mint::pair::{MAX_LIFETIME_S, Pair};
use crate::presence::contact::{Contact, prove};
use axum::body::Body;
use axum::http::{Request, Response};
use wire::json::capabilities::{CapabilitiesAnswer, CapabilitiesRequest};
use wire::json::header::HeaderJson;
use wire::json::login::ContactProof;
use wire::json::problem::ProblemKind;

/// `POST /v1/capabilities`.
pub(crate) async fn capabilities(app: &App, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let (now, rules) = (app.clock.now(), app.rules.load_full());
    if !bearer(request.headers()).is_some_and(|token| rules.is_service(token)) {
        let detail = match rules.serves_services() {
            true => "send Authorization: Bearer TOKEN, with a line of the operator's --service-credentials",
            false => "this server has none; its operator gives --service-credentials FILE",
        };
        return Err(Refusal::new(ProblemKind::Service, detail));
    }
    let CapabilitiesRequest { reflector, tickets, class, lifetime_s } = json(request).await?;
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
        let header = Pair { mine, theirs }.header(ring?, class, lifetime_s, 0, now.unix_s);
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
        expires,
    };
    let call = Call::Capabilities.as_str();
    let minted = vec![entry(&a, &b), entry(&b, &a)];
    let line = Line { at_ms: now.unix_ms, call, account: None, device: None, class, minted };
    if !app.audit.write(&line).await {
        return Err(answer::audit_is_behind());
    }
    app.counters.note_minted(Layer::Service, 2);
    answer::json(&CapabilitiesAnswer { headers: [headers.0, headers.1], expires })
}

const MIN_LIFETIME_S: u32 = 10;

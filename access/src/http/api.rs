//! The interface: which path and method is which call, and what is counted around each.
//!
//! * Every answer that is not a success is a problem document, also for paths and methods that are not there.
//! * `openapi.json` describes all of it; a test runs every call and compares.

use crate::app::App;
use crate::http::call::Call;
use crate::http::refusal::Refusal;
use crate::http::{accounts, answer, services, sessions};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use axum::routing::{MethodRouter, any};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::json::problem::ProblemKind;

/// The routes.
pub fn router(app: Arc<App>) -> Router {
    let at = |methods: &'static [(Method, Call)]| -> MethodRouter<Arc<App>> {
        any(move |State(app): State<Arc<App>>, request: Request<Body>| async move {
            let found = methods.iter().find(|(method, _)| method == request.method());
            match found {
                Some((_, call)) => serve(&app, *call, request).await,
                None => refuse(&app, &wrong_method(methods), Some(methods)),
            }
        })
    };
    Router::new()
        .route("/v1/capabilities", at(&[(Method::POST, Call::Capabilities)]))
        .route("/v1/devices", at(&[(Method::POST, Call::Devices)]))
        .route("/v1/challenge", at(&[(Method::POST, Call::Challenge)]))
        .route("/v1/login", at(&[(Method::POST, Call::Login)]))
        .route("/v1/refresh", at(&[(Method::POST, Call::Refresh)]))
        .route("/v1/profile", at(&[(Method::GET, Call::Profile)]))
        .route("/v1/logout", at(&[(Method::POST, Call::Logout)]))
        .route("/v1/buddies/{account}", at(&[(Method::PUT, Call::Ask), (Method::DELETE, Call::End)]))
        .route("/v1/revocations", at(&[(Method::POST, Call::Revocations)]))
        .route("/v1/privacy", at(&[(Method::PUT, Call::Privacy)]))
        .route("/v1/openapi.json", at(&[(Method::GET, Call::OpenApi)]))
        .fallback(|State(app): State<Arc<App>>| async move {
            let refusal = Refusal::new(ProblemKind::NotFound, "GET /v1/openapi.json lists every path");
            refuse(&app, &refusal, None)
        })
        .with_state(app)
}

/// Counts what no call answers; `allowed` is what the path has.
fn refuse(app: &App, refusal: &Refusal, allowed: Option<&[(Method, Call)]>) -> Response<Body> {
    app.counters.note_refused(refusal.kind());
    let mut response = refusal.response();
    app.counters.note_request(Call::Other, response.status().as_u16(), Duration::ZERO);
    if let Some(allow) = allowed.and_then(|methods| HeaderValue::from_str(&listed(methods)).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

fn wrong_method(methods: &[(Method, Call)]) -> Refusal {
    Refusal::new(ProblemKind::Method, format!("this path has {}", listed(methods)))
}

fn listed(methods: &[(Method, Call)]) -> String {
    methods.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>().join(", ")
}

async fn serve(app: &App, call: Call, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let outcome = answer_to(app, call, request).await;
    let response = outcome.unwrap_or_else(|refusal| {
        app.counters.note_refused(refusal.kind());
        refusal.response()
    });
    app.counters.note_request(call, response.status().as_u16(), started.elapsed());
    response
}

async fn answer_to(app: &App, call: Call, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    match call {
        Call::Capabilities => services::capabilities(app, request).await,
        Call::Devices => accounts::devices(app, request).await,
        Call::Challenge => sessions::challenge(app, request).await,
        Call::Login => sessions::login(app, request).await,
        Call::Refresh => sessions::refresh(app, request).await,
        Call::Profile => sessions::profile(app, &request.into_parts().0).await,
        Call::Logout => sessions::logout(app, request.headers()),
        Call::Ask | Call::End => {
            let (mut parts, _) = request.into_parts();
            let account = Path::<String>::from_request_parts(&mut parts, &()).await;
            let Path(account) =
                account.map_err(|error| Refusal::new(ProblemKind::Malformed, error.body_text()))?;
            match call {
                Call::Ask => accounts::ask(app, &parts, &account).await,
                _ => accounts::end(app, &parts, &account).await,
            }
        }
        Call::Privacy => accounts::privacy(app, request).await,
        Call::Revocations => services::revocations(app, request).await,
        Call::OpenApi => {
            let mut response = answer::empty(StatusCode::OK);
            *response.body_mut() = Body::from(OPENAPI);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(response)
        }
        Call::Other => Err(Refusal::new(ProblemKind::NotFound, "GET /v1/openapi.json lists every path")),
    }
}

/// The description of the interface (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("../../openapi.json");

//! `/v1/revocations` on the admin listener: who shows a token takes rights back.
//!
//! ```text
//! token? -> subjects -> table of the workers, and of the fast path -> file -> answer
//! ```
//!
//! * Tokens are read from their file at each request, so that a new one needs no reload, and compared in constant time.
//! * An answer other than 200 says what was done and what would be right; entries already in force stay.

use crate::config::Revoking;
use crate::fast_path::programs;
use crate::fast_path::programs::FastPath;
use crate::rules::revocations::{self, Moment, Revocations, STAY_S, Taken};
use crate::rules::shared::Shared;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use engine::host::clock;
use program::failure::Failure;
use program::random;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use subtle::ConstantTimeEq;
use wire::Revoked;
use wire::json::problem::{PROBLEM_MEDIA_TYPE, Problem, ProblemKind};
use wire::json::revocations::{RevocationsAnswer, RevocationsRequest};

/// Everything that has been taken back, shared by the admin server and the control thread.
#[derive(Debug)]
pub struct Desk {
    revocations: Mutex<Revocations>,
    tokens: PathBuf,
    start_id: String,
    /// What a change must also reach, once the daemon runs.
    running: OnceLock<(Arc<Shared>, Arc<Mutex<FastPath>>)>,
    /// How requests ended.
    pub counts: Counts,
}

/// Requests by how they ended.
#[derive(Debug, Default)]
pub struct Counts {
    /// Done and kept.
    pub done: AtomicU64,
    /// No token, or a wrong one.
    pub unauthorized: AtomicU64,
    /// Not what is expected.
    pub malformed: AtomicU64,
    /// Not all of it fitted.
    pub full: AtomicU64,
    /// Done, but the file does not have it.
    pub unsaved: AtomicU64,
}

impl Desk {
    /// What the file has, for a clock of this offset.
    ///
    /// # Errors
    /// A file that cannot be read or is none of ours; no token.
    pub fn open(revoking: &Revoking, offset_ns: i64) -> Result<Self, Failure> {
        let tokens = &revoking.tokens;
        read_tokens(tokens)
            .map_err(|why| Failure::Config(format!("--admin-token {}: {why}", tokens.display())))?;
        let seed: [u8; 32] = random::bytes()?;
        let (words, _) = seed.as_chunks::<8>();
        let seed = std::array::from_fn(|at| words.get(at).map_or(0, |word| u64::from_le_bytes(*word)));
        let start_id: [u8; 16] = random::bytes()?;
        let revocations = Revocations::open(&revoking.file, revocations::boot()?, seed, moment(offset_ns))?;
        Ok(Self {
            revocations: Mutex::new(revocations),
            tokens: tokens.clone(),
            start_id: hex::encode(start_id),
            running: OnceLock::new(),
            counts: Counts::default(),
        })
    }

    /// A reader of the table.
    pub fn reader(&self) -> Revoked {
        self.lock().reader()
    }

    /// From now on, changes also go to these.
    pub fn attend(&self, shared: Arc<Shared>, fast_path: Arc<Mutex<FastPath>>) {
        // Said once, by the daemon's start.
        let _ = self.running.set((shared, fast_path));
    }

    /// The paths of the admin server.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().route("/v1/revocations", post(revoke).get(show)).with_state(Arc::clone(self))
    }

    /// Entries, pairs among them, and the id of this start.
    pub fn answer(&self) -> RevocationsAnswer {
        let (entries, pairs) = self.lock().counts();
        RevocationsAnswer { start_id: self.start_id.clone(), entries, pairs }
    }

    /// Removes the entries that have ended.
    pub fn each_second(&self) {
        let gone = self.lock().each_second(self.now());
        if gone > 0 {
            self.tell_fast_path();
            tracing::info!(entries = gone, "revocations ended");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Revocations> {
        self.revocations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        moment(self.running.get().map_or(0, |(shared, _)| shared.offset_ns()))
    }

    fn tell_fast_path(&self) {
        if let Some((_, fast_path)) = self.running.get() {
            programs::lock(fast_path).set_revoked(&self.reader());
        }
    }

    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let shown =
            headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let (Some(shown), Ok(tokens)) = (shown, read_tokens(&self.tokens)) else { return false };
        tokens.iter().fold(false, |known, token| known | bool::from(token.as_bytes().ct_eq(shown)))
    }

    fn take(&self, request: &RevocationsRequest) -> Result<RevocationsAnswer, Problem> {
        let asked = request.revoke.len();
        if asked > MOST_SUBJECTS {
            let detail = format!("{asked} subjects; at most {MOST_SUBJECTS} go into one request");
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        }
        if request.age_s > STAY_S {
            let detail = format!("age_s is {}; what is older than {STAY_S} s is over", request.age_s);
            return Err(Problem::new(ProblemKind::Malformed, detail));
        }
        let now = self.now();
        let taken = self.lock().take(request.revoke.iter().map(|it| it.0), request.age_s, now);
        self.tell_fast_path();
        let Taken { added, known, refused, saved } = taken;
        tracing::info!(added, known, refused = refused.map_or(0, |(count, _)| count), "revoked");
        if let Err(error) = saved {
            tracing::error!(%error, "revocations are in force, but not saved: a restart would forget them");
            let detail = format!("in force here, but not saved: {error}; send it again until it is");
            return Err(Problem::new(ProblemKind::Internal, detail));
        }
        if let Some((count, full)) = refused {
            let detail = format!("{count} of {asked} did not fit: {full}; send them again later");
            return Err(Problem::new(ProblemKind::Full, detail));
        }
        Ok(self.answer())
    }

    fn count(&self, outcome: &Result<RevocationsAnswer, Problem>) {
        let place = match outcome.as_ref().map_err(Problem::kind) {
            Ok(_) => &self.counts.done,
            Err(Some(ProblemKind::Service)) => &self.counts.unauthorized,
            Err(Some(ProblemKind::Full)) => &self.counts.full,
            Err(Some(ProblemKind::Internal)) => &self.counts.unsaved,
            Err(_) => &self.counts.malformed,
        };
        place.fetch_add(1, Relaxed);
    }
}

async fn revoke(State(desk): State<Arc<Desk>>, request: Request<Body>) -> Response<Body> {
    let outcome = read_and_take(&desk, request).await;
    desk.count(&outcome);
    respond(outcome)
}

async fn read_and_take(desk: &Desk, request: Request<Body>) -> Result<RevocationsAnswer, Problem> {
    if !desk.is_allowed(request.headers()) {
        return Err(unauthorized());
    }
    let body = to_bytes(request.into_body(), LONGEST_BODY).await.map_err(|_| {
        let detail =
            format!("at most {LONGEST_BODY} bytes, within ten seconds; send what is longer in parts");
        Problem::new(ProblemKind::TooLarge, detail)
    })?;
    let request = serde_json::from_slice::<RevocationsRequest>(&body).map_err(|error| {
        let right = r#"expected {"revoke": [["ADDR:PORT"], ["ADDR:PORT", "ADDR:PORT"]], "age_s": 0}"#;
        Problem::new(ProblemKind::Malformed, format!("{error}; {right}"))
    })?;
    desk.take(&request)
}

async fn show(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response<Body> {
    respond(desk.is_allowed(&headers).then(|| desk.answer()).ok_or_else(unauthorized))
}

fn unauthorized() -> Problem {
    let detail = "show a token of the reflector's --admin-token file as `Authorization: Bearer TOKEN`";
    Problem::new(ProblemKind::Service, detail)
}

fn respond(outcome: Result<RevocationsAnswer, Problem>) -> Response<Body> {
    fn json(status: u16, media_type: &'static str, value: &impl Serialize) -> Response<Body> {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_string(value).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, media_type)], text).into_response()
    }
    match outcome {
        Ok(answer) => json(200, "application/json", &answer),
        Err(problem) => json(problem.status, PROBLEM_MEDIA_TYPE, &problem),
    }
}

/// The tokens of a file: one a line; what starts with # is none.
///
/// # Errors
/// A file that cannot be read, that others can read, or that has none; a token that can be guessed.
pub fn read_tokens(path: &std::path::Path) -> Result<Vec<String>, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mode = std::fs::metadata(path).map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!("every user of this host can read it; `chmod o= {}`", path.display()));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let tokens: Vec<String> = lines.map(str::to_owned).collect();
    if tokens.is_empty() {
        return Err(String::from("no token in it; `openssl rand -hex 32` prints one"));
    }
    if tokens.iter().any(|token| token.len() < SHORTEST_TOKEN) {
        return Err(format!(
            "a token of fewer than {SHORTEST_TOKEN} characters; `openssl rand -hex 32` prints one"
        ));
    }
    Ok(tokens)
}

fn moment(offset_ns: i64) -> Moment {
    let boot_ns = clock::boot_ns();
    let boot_s = clock::since_boot_ns() / 1_000_000_000;
    Moment { boot_s, unix_s: clock::unix_s(offset_ns, boot_ns) }
}

const MOST_SUBJECTS: usize = 4_096;
const LONGEST_BODY: usize = 512 << 10;
const SHORTEST_TOKEN: usize = 32;

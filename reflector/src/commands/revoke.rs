//! `revoke`: takes rights back at a reflector that runs.
//!
//! * Asks its admin server, as an access server does; exits 0 once the reflector has it in force and in its file.

use http::{Call, Client, Limits, Method, Tls, Url};
use program::failure::Failure;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::json::problem::Problem;
use wire::json::revocations::{RevocationsAnswer, RevocationsRequest, SubjectJson};

/// What to take back, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// A transport address, or a pair.
    pub subject: SubjectJson,
    /// The admin server.
    pub admin: SocketAddr,
    /// The file of its tokens, the first of which is shown.
    pub tokens: PathBuf,
    /// Its certificate, if it has one, and the name in that.
    pub tls: Option<(PathBuf, String)>,
}

/// Revokes, and prints what the reflector says.
///
/// # Errors
/// No token, no answer, or a refusal.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Options { subject, admin, tokens, tls } = options;
    let bearer = token(tokens)?;
    let request = RevocationsRequest { revoke: Vec::from([*subject]), age_s: 0 };
    let json = serde_json::to_vec(&request).map_err(|error| Failure::Runtime(error.to_string()))?;
    let call = Call { method: Method::POST, path: "/v1/revocations", bearer: Some(bearer), json: Some(json) };
    let client = client(*admin, tls.as_ref())?;
    let answer = http::wait(async { client.call(call).await })
        .map_err(|error| Failure::Runtime(format!("the admin server at {admin}: {error}")))?;
    let refused = || {
        let problem = serde_json::from_slice::<Problem>(&answer.body);
        problem.map_or_else(|_| refusal_without_words(&answer.reason), |problem| problem.to_string())
    };
    let entries = Some(&answer.body).filter(|_| answer.is_success());
    let entries = entries.and_then(|body| serde_json::from_slice::<RevocationsAnswer>(body).ok());
    let RevocationsAnswer { entries, .. } = entries.ok_or_else(|| Failure::Runtime(refused()))?;
    let what = subject.texts().join(" and ");
    writeln!(out, "revoked for 12 minutes: {what} ({entries} entries are in force)")?;
    Ok(())
}

fn refusal_without_words(reason: &str) -> String {
    format!(
        "the admin server answered {reason}; a reflector revokes only with --admin-token and --revocations"
    )
}

fn token(path: &Path) -> Result<String, Failure> {
    let refuse = |why: String| Failure::Config(format!("--admin-token {}: {why}", path.display()));
    let tokens = crate::run::revoke::read_tokens(path).map_err(refuse)?;
    tokens.into_iter().next().ok_or_else(|| refuse(String::from("no token in it")))
}

fn client(admin: SocketAddr, tls: Option<&(PathBuf, String)>) -> Result<Client, Failure> {
    let limits = Limits { patience: Duration::from_secs(15), most_bytes: 64 << 10 };
    let Some((certificate, name)) = tls else { return Ok(Client::at(admin, limits)) };
    let wrong =
        |error: String| Failure::Config(format!("--admin-tls-cert {}: {error}", certificate.display()));
    let url = Url::parse(&format!("https://{name}:{}", admin.port()));
    let url = url
        .ok_or_else(|| Failure::Usage(format!("--server-name {name}: expected a name of the certificate")))?;
    let tls = Tls::new(Some(certificate)).map_err(|error| wrong(error.to_string()))?;
    Ok(Client::secure(&url, limits, tls).placed(admin))
}

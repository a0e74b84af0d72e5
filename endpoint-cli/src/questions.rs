//! `status`, `send` and `watch`: asked of the running `up` or `tunnel` of this device, or else of an endpoint that lives as
//! long as the command.

use crate::control::{self, Answer, Question};
use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::up::signal;
use endpoint::{Device, Endpoint, Event};
use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::time::Duration;
use wire::json::name::AccountName;

/// Prints how the endpoint is, or how one buddy is reached.
///
/// # Errors
/// Nothing runs and no login works, or there is no such buddy.
pub async fn status(
    file: &Path,
    name: Option<&AccountName>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut snapshot = match control::ask(file, &Question::Status).await? {
        Some(Answer::Status(snapshot)) => *snapshot,
        Some(_) => return Err(unexpected()),
        None => {
            let endpoint = Endpoint::login(Device::load(file)?).await?;
            // Time for those who are online to answer.
            tokio::time::sleep(ANSWER_PAUSE).await;
            let snapshot = Snapshot::of(&endpoint);
            endpoint.leave().await;
            snapshot
        }
    };
    if let Some(name) = name {
        snapshot = snapshot.only(name);
        if snapshot.buddies.is_empty() {
            return Err(endpoint::Error::NoBuddy { name: name.to_string() }.into());
        }
    }
    if json {
        let text = serde_json::to_string(&snapshot).map_err(|error| Failure::Runtime(error.to_string()))?;
        writeln!(out, "{text}")?;
    } else {
        write!(out, "{snapshot}")?;
    }
    Ok(())
}

/// Sends a text, waits until it has arrived, and says so.
///
/// # Errors
/// It did not arrive.
pub async fn send(file: &Path, to: AccountName, text: String, err: &mut impl Write) -> Result<(), Failure> {
    let question = Question::Send { to: to.clone(), text: text.clone() };
    match control::ask(file, &question).await? {
        Some(Answer::Arrived) => return Ok(writeln!(err, "{to} has it")?),
        Some(Answer::Failed(reason)) => return Err(Failure::Runtime(reason)),
        Some(Answer::Status(_) | Answer::Done) => return Err(unexpected()),
        None => {}
    }
    let endpoint = Endpoint::login(Device::load(file)?).await?;
    let sent = endpoint.peer(to.as_str())?.send_message(text.as_bytes())?;
    let arrived = tokio::time::timeout(SEND_PATIENCE, arrival(&endpoint, sent)).await;
    endpoint.leave().await;
    match arrived {
        Ok(Ok(true)) => Ok(writeln!(err, "{to} has it")?),
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(false)) | Err(_) => Err(Failure::Runtime(format!("{to} did not answer; is it online?"))),
    }
}

/// Hides the device's address from its buddies, or shows it.
///
/// # Errors
/// The access server does not answer, or refuses.
pub async fn hide(file: &Path, hide: bool, err: &mut impl Write) -> Result<(), Failure> {
    match control::ask(file, &Question::Hide(hide)).await? {
        Some(Answer::Done) => {}
        Some(Answer::Failed(reason)) => return Err(Failure::Runtime(reason)),
        Some(_) => return Err(unexpected()),
        None => {
            let endpoint = Endpoint::login(Device::load(file)?).await?;
            let done = endpoint.hide_address(hide).await;
            endpoint.leave().await;
            done?;
        }
    }
    let line = if hide {
        "buddies do not see this device's address any more; what they could send to it before is refused"
    } else {
        "buddies see this device's address, unless its account is hidden"
    };
    Ok(writeln!(err, "{line}")?)
}

async fn arrival(endpoint: &Endpoint, sent: u64) -> Result<bool, Failure> {
    loop {
        if let Event::Delivery { ticket, arrived, .. } = endpoint.event().await?
            && ticket == sent
        {
            return Ok(arrived);
        }
    }
}

/// Shows the table until a signal comes: in place on a terminal, else again whenever it has changed.
///
/// # Errors
/// Nothing runs and no login works, or SIGINT came.
pub async fn watch(file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let mut own: Option<Endpoint> = None;
    let ended = tokio::select! {
        ended = show(file, &mut own, out) => ended,
        ended = signal() => ended,
    };
    if let Some(endpoint) = own {
        endpoint.leave().await;
    }
    ended
}

/// Shows the table of whatever endpoint runs, or else of an own one.
async fn show(file: &Path, own: &mut Option<Endpoint>, out: &mut impl Write) -> Result<(), Failure> {
    let in_place = std::io::stdout().is_terminal();
    let mut last = String::new();
    loop {
        let snapshot = match (&own, control::ask(file, &Question::Status).await?) {
            (_, Some(Answer::Status(snapshot))) => *snapshot,
            (_, Some(_)) => return Err(unexpected()),
            (Some(endpoint), None) => Snapshot::of(endpoint),
            (None, None) => {
                let endpoint = Endpoint::login(Device::load(file)?).await?;
                Snapshot::of(own.insert(endpoint))
            }
        };
        let text = snapshot.to_string();
        if in_place {
            // Home, the text, and whatever was longer before is cleared.
            write!(out, "\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))?;
        } else if text != last {
            write!(out, "{text}")?;
        }
        out.flush()?;
        last = text;
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

fn unexpected() -> Failure {
    Failure::Runtime(String::from("the running endpoint answers something else; is it another version?"))
}

const ANSWER_PAUSE: Duration = Duration::from_millis(500);
const SEND_PATIENCE: Duration = Duration::from_secs(15);
const WATCH_PAUSE: Duration = Duration::from_secs(1);

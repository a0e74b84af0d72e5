//! The calls of an access server's HTTP interface that endpoints make, by a few connections that are kept alive.
//!
//! * A thread of its own; questions and answers are messages, each with the life of the endpoint that it belongs to.
//! * The end waits for nobody: what is not answered by then is given up and counted.
//! * A call's time counts from when the endpoint asked, so waiting for a free connection is in it.
//! * Plain HTTP: what is measured is the server, not TLS.

use crate::args::target::Target;
use crate::error::Error;
use crate::keys::Keys;
use crate::society::ledger::{histogram, note};
use crate::society::link::{Asked, Link};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, watch};
use wire::json::device::{DeviceAnswer, DeviceRequest};
use wire::json::login::{
    ChallengeAnswer, ChallengeRequest, ContactProof, LoginAnswer, RefreshRequest, Session,
};
use wire::json::name::DeviceId;
use wire::json::problem::ProblemKind;

/// A question to the access server, of an endpoint in one of its lives.
#[derive(Debug)]
pub struct Call {
    /// Whose.
    pub endpoint: u32,
    /// In which of its lives.
    pub life: u32,
    /// What.
    pub question: Question,
}

/// What is asked.
#[derive(Debug)]
pub enum Question {
    /// `POST /v1/devices`.
    Enrol(Box<DeviceRequest>),
    /// `POST /v1/challenge`, then `/v1/login`.
    Login {
        /// Who.
        device: DeviceId,
        /// Its keys.
        keys: Keys,
        /// Its NAT.
        nat: nat::Behaviour,
        /// Where it is.
        contacts: Vec<ContactProof>,
    },
    /// `POST /v1/refresh`.
    Refresh(Session, RefreshRequest),
    /// `POST /v1/logout`.
    Logout(Session),
}

/// What came of it.
#[derive(Debug)]
pub struct Answer {
    /// Whose.
    pub endpoint: u32,
    /// In which of its lives.
    pub life: u32,
    /// What.
    pub outcome: Outcome,
}

/// What was answered.
#[derive(Debug)]
pub enum Outcome {
    /// The device is enrolled.
    Enrolled(DeviceAnswer),
    /// Logged in, or refreshed.
    Login(Box<LoginAnswer>),
    /// Logged out.
    LoggedOut,
    /// The session has ended.
    LostSession,
    /// Refused: why.
    Refused(String),
    /// Not answered, or with what is no answer: why.
    Unanswered(String),
}

/// Who makes the calls.
#[derive(Debug)]
pub struct Calls {
    questions: UnboundedSender<(Instant, Call)>,
    /// Dropped at the end, which every connection notices.
    going_on: watch::Sender<()>,
    answers: mpsc::Receiver<Answer>,
    thread: JoinHandle<Result<Times, Error>>,
    asked: u64,
    answered: u64,
    /// The last calls that were not answered, and why the last one was not.
    unanswered: Option<(u64, String)>,
}

/// How long calls took, ns, by path; and how many failed.
#[derive(Debug, Default)]
pub struct Times {
    /// By path.
    pub by_path: BTreeMap<&'static str, Histogram<u64>>,
    /// Why calls failed, and how often.
    pub failures: BTreeMap<String, u64>,
}

impl Calls {
    /// Starts the thread, which opens connections when they are needed.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(target: Target, connections: u32) -> Result<Self, Error> {
        let (questions, receiver) = unbounded_channel();
        let (sender, answers) = mpsc::channel();
        let (going_on, end) = watch::channel(());
        let work = move || -> Result<Times, Error> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Error::Runtime(format!("no runtime for calls: {error}")))?;
            runtime.block_on(serve((target, connections), receiver, sender, end))
        };
        let thread = std::thread::Builder::new()
            .name("calls".to_owned())
            .spawn(work)
            .map_err(|error| Error::Runtime(format!("no thread for calls: {error}")))?;
        Ok(Self { questions, going_on, answers, thread, asked: 0, answered: 0, unanswered: None })
    }

    /// Asks.
    pub fn ask(&mut self, call: Call) {
        self.asked += u64::from(self.questions.send((Instant::now(), call)).is_ok());
    }

    /// An answer that is there.
    pub fn poll(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.answered += 1;
        self.unanswered = match (&answer.outcome, self.unanswered.take()) {
            (Outcome::Unanswered(reason), before) => {
                Some((before.map_or(0, |(count, _)| count) + 1, reason.clone()))
            }
            _ => None,
        };
        Some(answer)
    }

    /// How many of the last calls in a row were not answered, and why not.
    pub fn unanswered(&self) -> Option<(u64, &str)> {
        self.unanswered.as_ref().map(|(count, reason)| (*count, reason.as_str()))
    }

    /// Questions without an answer yet.
    pub fn open_count(&self) -> u64 {
        self.asked - self.answered
    }

    /// Ends the thread without waiting for answers; what was measured.
    ///
    /// # Errors
    /// What the thread says.
    pub fn finish(mut self) -> Result<Times, Error> {
        while self.poll().is_some() {}
        let open = self.open_count();
        let Self { questions, going_on, thread, .. } = self;
        drop((questions, going_on));
        let died = || Error::Runtime("the thread of calls died; this is a fault of the generator".to_owned());
        let mut times = thread.join().map_err(|_| died())??;
        if open > 0 {
            *times.failures.entry("not answered before the end".to_owned()).or_default() += open;
        }
        Ok(times)
    }
}

async fn serve(
    (target, connections): (Target, u32),
    receiver: UnboundedReceiver<(Instant, Call)>,
    sender: mpsc::Sender<Answer>,
    end: watch::Receiver<()>,
) -> Result<Times, Error> {
    let receiver = Arc::new(Mutex::new(receiver));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(work(Link::new(target.clone()), Arc::clone(&receiver), sender.clone(), end.clone()));
    }
    let mut times = Times::default();
    while let Some(done) = tasks.join_next().await {
        let of_one = done.map_err(|error| Error::Runtime(format!("a connection's task died: {error}")))??;
        for (path, time) in of_one.by_path {
            match times.by_path.get_mut(path) {
                // All have one range, so that adding cannot fail.
                Some(all) => *all += &time,
                None => drop(times.by_path.insert(path, time)),
            }
        }
        for (reason, count) in of_one.failures {
            *times.failures.entry(reason).or_default() += count;
        }
    }
    Ok(times)
}

/// One connection's calls, one after the other, until the end.
async fn work(
    mut link: Link,
    receiver: Arc<Mutex<UnboundedReceiver<(Instant, Call)>>>,
    sender: mpsc::Sender<Answer>,
    mut end: watch::Receiver<()>,
) -> Result<Times, Error> {
    let mut times = Times::default();
    loop {
        let next = before(&mut end, async { receiver.lock().await.recv().await }).await;
        let Some(Some((since, Call { endpoint, life, question }))) = next else { return Ok(times) };
        let outcome = before(&mut end, ask(&mut link, question, since, &mut times)).await;
        let Some(outcome) = outcome.transpose()? else { return Ok(times) };
        if let Outcome::Refused(reason) | Outcome::Unanswered(reason) = &outcome {
            *times.failures.entry(reason.clone()).or_default() += 1;
        }
        // Nobody waits for the answer once the run is over.
        let _ = sender.send(Answer { endpoint, life, outcome });
    }
}

/// What comes of some work; nothing if the end comes first.
async fn before<T>(end: &mut watch::Receiver<()>, work: impl Future<Output = T>) -> Option<T> {
    let end = pin!(end.changed());
    tokio::select! {
        biased;
        _ = end => None,
        done = work => Some(done),
    }
}

async fn ask(
    link: &mut Link,
    question: Question,
    since: Instant,
    times: &mut Times,
) -> Result<Outcome, Error> {
    let outcome = match question {
        Question::Enrol(request) => {
            // All ask at once, so the queue would be all that is seen.
            let since = Instant::now();
            let asked = link.call("/v1/devices", None, Some(&*request)).await;
            times.note("/v1/devices", since)?;
            asked.and_then(|answer| answer.read()).map(Outcome::Enrolled)
        }
        Question::Login { device, keys, nat, contacts } => {
            let asked = link.call("/v1/challenge", None, Some(&ChallengeRequest { device })).await;
            times.note("/v1/challenge", since)?;
            match asked.and_then(|answer| answer.read::<ChallengeAnswer>()) {
                Err(failure) => Err(failure),
                Ok(challenge) => {
                    let request = keys.login(device, challenge.nonce, (nat, contacts), link.name());
                    let since = Instant::now();
                    let asked = link.call("/v1/login", None, Some(&request)).await;
                    times.note("/v1/login", since)?;
                    asked.and_then(|answer| answer.read()).map(Outcome::Login)
                }
            }
        }
        Question::Refresh(session, request) => {
            let asked = link.call("/v1/refresh", Some(session), Some(&request)).await;
            times.note("/v1/refresh", since)?;
            asked.and_then(|answer| answer.read()).map(Outcome::Login)
        }
        Question::Logout(session) => {
            let asked = link.call::<()>("/v1/logout", Some(session), None).await;
            times.note("/v1/logout", since)?;
            asked.map(|_| Outcome::LoggedOut)
        }
    };
    Ok(outcome.unwrap_or_else(|failure| match failure {
        Asked::Refused(problem) if problem.kind() == Some(ProblemKind::Session) => Outcome::LostSession,
        Asked::Refused(problem) => Outcome::Refused(problem.to_string()),
        Asked::Unreachable(reason) => Outcome::Unanswered(reason),
    }))
}

impl Times {
    fn note(&mut self, path: &'static str, since: Instant) -> Result<(), Error> {
        let time_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        if !self.by_path.contains_key(path) {
            self.by_path.insert(path, histogram()?);
        }
        if let Some(times) = self.by_path.get_mut(path) {
            note(times, time_us);
        }
        Ok(())
    }
}

//! The metrics page: what the cells, the rules, the status and the kernel say, put together at scrape.
//!
//! * A scrape reads cells; no worker notices. Nothing is kept between scrapes.
//! * Labels are bounded: worker, path, reason, error, key, family. Never an address, never a user.
//! * Every combination is there from the start, with zeros.

use crate::counters::{self, Event};
use crate::fast_path::figures::Figures;
use crate::fast_path::programs::FastPath;
use crate::rules::shared::Shared;
use crate::run::revoke::{self, Desk};
use crate::run::status::{Reloads, WorkerView};
use crate::stun::refusal::Refusal;
use engine::SendError;
use program::admin::metrics::{Histogram, Page};
use program::admin::status::Status;
use program::log::Gate;
use program::process::{self, Process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use wire::Reason;

/// Where the figures come from.
#[derive(Debug)]
pub struct Metrics {
    /// The engine's name.
    pub engine: &'static str,
    /// Rules in force.
    pub shared: Arc<Shared>,
    /// The daemon's state.
    pub status: Arc<Status>,
    /// How reloads went.
    pub reloads: Arc<Reloads>,
    /// Log lines swallowed.
    pub gate: Arc<Gate>,
    /// The workers.
    pub workers: Arc<[WorkerView]>,
    /// The program in front of them.
    pub fast_path: Arc<Mutex<FastPath>>,
    /// What was taken back, if anybody may.
    pub desk: Option<Arc<Desk>>,
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let workers: Vec<(String, counters::Counts)> =
            self.workers.iter().enumerate().map(|(id, view)| (id.to_string(), view.cells.read())).collect();
        let figures = self.fast_path.lock().unwrap_or_else(PoisonError::into_inner).figures();
        let by_worker: Vec<Source<'_>> = workers
            .iter()
            .map(|(id, counts)| (vec![("path", "socket"), ("worker", id.as_str())], counts))
            .collect();
        let sources = [by_worker.as_slice(), &[(vec![("path", "xdp")], &figures.counts)]].concat();
        let mut page = Page::new(encoder);
        traffic(&mut page, &sources)?;
        refusals(&mut page, &sources)?;
        unsent(&mut page, &by_worker)?;
        fast_path(&mut page, &figures)?;
        stun(&mut page, &workers)?;
        sockets(&mut page, &workers)?;
        self.workers(&mut page)?;
        self.rules(&mut page, &sources)?;
        self.revocations(&mut page)?;
        self.daemon(&mut page)?;
        page.process(&Process::read())
    }
}

impl Metrics {
    fn workers(&self, page: &mut Page<'_>) -> fmt::Result {
        let threads = self.workers.iter().enumerate().map(|(id, view)| {
            let busy_s = view.thread.get().map_or(0.0, |thread| process::thread_busy_s(*thread));
            ([("worker", id.to_string())], busy_s)
        });
        page.counters("reflector_worker_busy_seconds", "CPU time of a worker's thread.", threads)?;
        let buffers = self.workers.iter().enumerate().flat_map(|(id, view)| {
            let labels =
                move |family: &'static str| [("worker", id.to_string()), ("family", String::from(family))];
            view.receive_buffers.iter().map(move |(family, bytes)| (labels(family), *bytes as u64))
        });
        page.gauges("reflector_socket_receive_buffer_bytes", "Receive buffer granted by the kernel.", buffers)
    }

    fn rules(&self, page: &mut Page<'_>, sources: &[Source<'_>]) -> fmt::Result {
        let keys = (0..16_u8).map(|id| {
            let datagrams: u64 = sources.iter().map(|(_, counts)| counts.key(id)).sum();
            ([("key", id.to_string())], datagrams)
        });
        let help = "Datagrams accepted for relaying by key; a key that counts no more may go.";
        page.counters("reflector_key_datagrams", help, keys)?;
        let rules = self.shared.rules().load();
        let labels = [
            ("minting_key", rules.ring.minting().get().to_string()),
            ("fingerprint", format!("{:016x}", rules.ring.fingerprint())),
        ];
        page.info("reflector_ring", "The ring in force.", &labels)?;
        let help = "Unix time at which the ring in force was read.";
        page.gauge("reflector_ring_reload_timestamp_seconds", help, &self.reloads.ring_read_at_s())?;
        let (done, failed) = (self.reloads.done(), self.reloads.failed());
        let reloads = [([("outcome", "success")], done), ([("outcome", "failure")], failed)];
        page.counters("reflector_reloads", "Reloads by SIGHUP; after a failure the old rules stay.", reloads)
    }

    fn revocations(&self, page: &mut Page<'_>) -> fmt::Result {
        let answer = self.desk.as_ref().map(|desk| desk.answer());
        let (entries, pairs) = answer.map_or((0, 0), |answer| (answer.entries, answer.pairs));
        let rows = [("address", entries - pairs), ("pair", pairs)];
        let rows = rows.map(|(subject, count)| ([("subject", subject)], count as u64));
        let help = "Transport addresses and pairs of them that were taken back and are not over.";
        page.gauges("reflector_revoked_entries", help, rows)?;
        let none = revoke::Counts::default();
        let counts = self.desk.as_ref().map_or(&none, |desk| &desk.counts);
        let rows = [
            ("done", &counts.done),
            ("unauthorized", &counts.unauthorized),
            ("malformed", &counts.malformed),
            ("full", &counts.full),
            ("unsaved", &counts.unsaved),
        ];
        let rows = rows.map(|(outcome, count)| ([("outcome", outcome)], count.load(Relaxed)));
        page.counters("reflector_revocation_requests", "Requests to revoke, by how they ended.", rows)
    }

    fn daemon(&self, page: &mut Page<'_>) -> fmt::Result {
        let help = "How far the system clock is behind the clock in use; negative: ahead.";
        page.gauge("reflector_clock_disagreement_seconds", help, &self.status.disagreement_s())?;
        let ready = u64::from(self.status.is_ready());
        page.gauge("reflector_ready", "1 while traffic is wanted here, 0 while draining.", &ready)?;
        let swallowed = self.gate.swallowed();
        page.counter("reflector_log_lines_swallowed", "Log lines beyond ten a second.", &swallowed)?;
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("engine", self.engine)];
        page.info("reflector_build", "The program that runs.", &labels)
    }
}

/// Labels of one counting place, and what it counted.
type Source<'a> = (Vec<(&'static str, &'a str)>, &'a counters::Counts);

fn traffic(page: &mut Page<'_>, sources: &[Source<'_>]) -> fmt::Result {
    let events = [
        (
            Event::Received,
            "received",
            "Datagrams taken from sockets, or seen at the driver.",
            "Their UDP payload.",
        ),
        (Event::Relayed, "relayed", "SENDs that left as DATA.", "Their UDP payload."),
        (Event::Observed, "observed", "PROBEs answered.", "Their UDP payload."),
    ];
    for (event, name, datagrams_help, bytes_help) in events {
        let rows = |read: fn(&counters::Counts, Event) -> u64| {
            sources
                .iter()
                .map(move |(labels, counts)| (labels.clone(), read(counts, event)))
                .collect::<Vec<_>>()
        };
        let datagrams = format!("reflector_{name}_datagrams");
        page.counters(&datagrams, datagrams_help, rows(counters::Counts::datagrams))?;
        page.counters(&format!("reflector_{name}_bytes"), bytes_help, rows(counters::Counts::bytes))?;
    }
    Ok(())
}

fn refusals(page: &mut Page<'_>, sources: &[Source<'_>]) -> fmt::Result {
    let dropped = |read: fn(&counters::Counts, Event) -> u64| {
        let row = |reason: Reason| {
            sources.iter().map(move |(labels, counts)| {
                let label = ("reason", reason.as_str());
                ([labels.as_slice(), &[label]].concat(), read(counts, Event::Dropped(reason)))
            })
        };
        Reason::ALL.into_iter().flat_map(row).collect::<Vec<_>>()
    };
    let help = "Datagrams refused, by the first check that failed.";
    page.counters("reflector_dropped_datagrams", help, dropped(counters::Counts::datagrams))?;
    page.counters(
        "reflector_dropped_bytes",
        "UDP payload of datagrams refused.",
        dropped(counters::Counts::bytes),
    )
}

fn unsent(page: &mut Page<'_>, sources: &[Source<'_>]) -> fmt::Result {
    let unsent = |read: fn(&counters::Counts, Event) -> u64| {
        let row = |error: SendError| {
            sources.iter().map(move |(labels, counts)| {
                let label = ("error", error.as_str());
                ([labels.as_slice(), &[label]].concat(), read(counts, Event::Unsent(error)))
            })
        };
        SendError::ALL.into_iter().flat_map(row).collect::<Vec<_>>()
    };
    let help = "Datagrams accepted that the kernel did not send, by its error.";
    page.counters("reflector_send_errors", help, unsent(counters::Counts::datagrams))?;
    page.counters(
        "reflector_send_error_bytes",
        "UDP payload of datagrams not sent.",
        unsent(counters::Counts::bytes),
    )
}

fn fast_path(page: &mut Page<'_>, figures: &Figures) -> fmt::Result {
    let passed = |number: u64| [([("path", "xdp")], number)];
    let help = "Datagrams that the program at the driver left to the sockets, unmodified.";
    page.counters("reflector_passed_datagrams", help, passed(figures.passed_datagrams))?;
    page.counters("reflector_passed_bytes", "Their UDP payload.", passed(figures.passed_bytes))?;
    let errors = [
        ([("error", "interface")], figures.interface_errors),
        ([("error", "driver")], figures.driver_errors),
    ];
    let help = "Frames lost behind the program, by who counted them: on the interface whoever sent them, or in the \
                driver's own counters of XDP.";
    page.counters("reflector_xdp_errors", help, errors)?;
    page.gauge("reflector_xdp_interfaces", "Interfaces with the program in force.", &figures.interfaces)
}

fn stun(page: &mut Page<'_>, workers: &[(String, counters::Counts)]) -> fmt::Result {
    let dropped: Vec<_> =
        Refusal::ALL.map(|it| (Event::StunDropped(it), Some(("reason", it.as_str())))).into();
    let unsent: Vec<_> =
        SendError::ALL.map(|it| (Event::StunUnsent(it), Some(("error", it.as_str())))).into();
    let answered = [(Event::StunAnswered, "success"), (Event::StunRejected, "error")];
    let answered = answered.map(|(event, answer)| (event, Some(("answer", answer)))).into();
    let families = [
        ("received", "Datagrams handed to STUN.", vec![(Event::StunReceived, None)]),
        ("answered", "STUN responses that left, by class.", answered),
        ("dropped", "Datagrams that STUN refused, by the first check that failed.", dropped),
        ("unsent", "STUN responses that the kernel did not send, by its error.", unsent),
    ];
    for (name, help, events) in families {
        let rows = |read: fn(&counters::Counts, Event) -> u64| {
            let row = |(event, label): &(Event, Option<(&'static str, &'static str)>)| {
                let (event, label) = (*event, *label);
                workers.iter().map(move |(id, counts)| {
                    let labels: Vec<_> = std::iter::once(("worker", id.as_str())).chain(label).collect();
                    (labels, read(counts, event))
                })
            };
            events.iter().flat_map(row).collect::<Vec<_>>()
        };
        page.counters(&format!("reflector_stun_{name}_datagrams"), help, rows(counters::Counts::datagrams))?;
        page.counters(
            &format!("reflector_stun_{name}_bytes"),
            "Their UDP payload.",
            rows(counters::Counts::bytes),
        )?;
    }
    Ok(())
}

fn sockets(page: &mut Page<'_>, workers: &[(String, counters::Counts)]) -> fmt::Result {
    let overflows = workers.iter().map(|(id, counts)| ([("worker", id.as_str())], counts.overflows()));
    let help = "Datagrams that the kernel dropped because a receive queue was full (SO_RXQ_OVFL).";
    page.counters("reflector_socket_overflows", help, overflows)?;
    let batches = workers.iter().map(|(id, counts)| {
        let (buckets, datagrams) = counts.batches();
        #[allow(clippy::cast_precision_loss)] // A metric is a float.
        let sum = datagrams as f64;
        ([("worker", id.as_str())], Histogram { sum, buckets: buckets.to_vec() })
    });
    page.histograms("reflector_batch_datagrams", "Datagrams per batch.", batches)
}

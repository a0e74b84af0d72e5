//! The prober: asks every reflector once an interval whether it answers, and now and then what STUN it speaks.
//!
//! * One PROBE an interval to each address; an answer counts if it comes from there and echoes this round's number.
//! * A change of what is offered changes every profile's version.

use crate::app::App;
use crate::fleet::{Health, MISSES, Reflector, State};
use crate::hosts::AdminListener;
use crate::rules::Rules;
use program::failure::Failure;
use program::random;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use stun::request::Change;
use stun::response::Bound;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, timeout_at};
use wire::header::{HEADER_LEN, Kind};
use wire::json::login::Stun;
use wire::json::name::ReflectorName;

/// The prober's sockets and what it found so far.
#[derive(Debug)]
pub struct Prober {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    found: HashMap<ReflectorName, Found>,
    round: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Found {
    health: Health,
    /// Rounds since STUN was last answered.
    stun_missed: u32,
    answered_now: bool,
    /// What was reported last.
    was: State,
}

/// The numbers of a round, that its answers echo.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    probe: [u8; 8],
    stun: [u8; 12],
}

impl Prober {
    /// A prober with a socket of each family that this host has.
    ///
    /// # Errors
    /// It has neither.
    pub async fn open() -> Result<Self, Failure> {
        let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await;
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await;
        if let (Err(error), Err(_)) = (&v4, &v6) {
            return Err(Failure::Config(format!("no UDP socket to probe reflectors with: {error}")));
        }
        Ok(Self { v4: v4.ok(), v6: v6.ok(), found: HashMap::new(), round: 0 })
    }

    /// Probes for ever.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub async fn run(mut self, app: Arc<App>, interval: Duration) -> Result<(), Failure> {
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let rules = app.rules.load_full();
            let numbers = Numbers { probe: random::bytes()?, stun: random::bytes()? };
            self.ask(&rules.reflectors, &numbers).await;
            let patience = interval.mul_f64(0.9);
            let end = Instant::now() + patience;
            let drained = draining(&rules, patience);
            let (drained, ()) = tokio::join!(drained, self.listen(&rules.reflectors, &numbers, end));
            for (name, found) in &mut self.found {
                found.health.draining = drained.contains(name);
            }
            self.conclude(&app, &rules);
            self.round += 1;
        }
    }

    async fn ask(&mut self, reflectors: &[Reflector], numbers: &Numbers) {
        self.found.retain(|name, _| reflectors.iter().any(|it| it.name == *name));
        let mut probe = [0; HEADER_LEN + 8];
        let bytes = std::iter::once(Kind::Probe as u8).chain([0; HEADER_LEN - 1]).chain(numbers.probe);
        probe.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        for reflector in reflectors {
            let found = self.found.entry(reflector.name.clone()).or_default();
            found.answered_now = false;
            for address in &reflector.addresses {
                let socket = if address.is_ipv4() { &self.v4 } else { &self.v6 };
                let Some(socket) = socket else { continue };
                // A PROBE that cannot be sent is one that is not answered.
                let _ = socket.send_to(&probe, address).await;
                if self.round.is_multiple_of(STUN_EVERY) {
                    let _ = socket
                        .send_to(&stun::request::write(&numbers.stun, Change::default()), address)
                        .await;
                }
            }
        }
    }

    async fn listen(&mut self, reflectors: &[Reflector], numbers: &Numbers, until: Instant) {
        let (mut from_v4, mut from_v6) = ([0; LONGEST_ANSWER], [0; LONGEST_ANSWER]);
        loop {
            let received = async {
                tokio::select! {
                    Ok((len, from)) = receive(self.v4.as_ref(), &mut from_v4), if self.v4.is_some() =>
                        (from, from_v4.split_at(len).0.to_vec()),
                    Ok((len, from)) = receive(self.v6.as_ref(), &mut from_v6), if self.v6.is_some() =>
                        (from, from_v6.split_at(len).0.to_vec()),
                    else => std::future::pending().await,
                }
            };
            let Ok((from, bytes)) = timeout_at(until, received).await else { return };
            let asked = reflectors.iter().find(|it| it.addresses.contains(&from));
            let Some(found) = asked.and_then(|it| self.found.get_mut(&it.name)) else { continue };
            if is_observed(&bytes, &numbers.probe) {
                found.answered_now = true;
            } else if let Some(bound) = Bound::read(&bytes).filter(|it| it.transaction == numbers.stun) {
                let speaks = if bound.other.is_some() { Stun::Behaviour } else { Stun::Binding };
                (found.health.stun, found.stun_missed) = (speaks, 0);
            }
        }
    }

    fn conclude(&mut self, app: &App, rules: &Rules) {
        let before = app.offered(rules);
        for (name, found) in &mut self.found {
            let was = found.was;
            let health = &mut found.health;
            health.answered |= found.answered_now;
            health.missed = if found.answered_now { 0 } else { health.missed.saturating_add(1) };
            found.stun_missed = found.stun_missed.saturating_add(1);
            if u64::from(found.stun_missed) > STUN_EVERY * u64::from(MISSES) {
                health.stun = Stun::Off;
            }
            found.was = health.state();
            app.fleet.set(name, *health);
            report(name, was, health);
        }
        app.fleet.keep(&rules.reflectors);
        if app.offered(rules) != before {
            app.registry.presence().touch_all();
        }
    }
}

/// Which reflectors drain: all of their hosts say so. Every host is asked at once.
async fn draining(rules: &Rules, patience: Duration) -> Vec<ReflectorName> {
    let ask = |it: &AdminListener| {
        let (it, tls) = (it.clone(), rules.admin_tls.clone());
        tokio::spawn(async move { (it.is_draining(tls.as_ref(), patience).await, it.reflector) })
    };
    let asked: Vec<_> = rules.admins.iter().map(ask).collect();
    let (mut drained, mut others) = (Vec::new(), Vec::new());
    for answer in asked {
        let Ok((drains, name)) = answer.await else { continue };
        if drains { drained.push(name) } else { others.push(name) }
    }
    drained.retain(|name| !others.contains(name));
    drained
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

fn is_observed(bytes: &[u8], number: &[u8; 8]) -> bool {
    bytes.first() == Some(&(Kind::Observed as u8)) && bytes.get(HEADER_LEN..) == Some(number.as_slice())
}

fn report(name: &ReflectorName, was: State, health: &Health) {
    let (name, is) = (name.as_str(), health.state());
    match (was, is) {
        (_, State::Silent) if health.missed == MISSES => tracing::warn!(
            reflector = name,
            "never answered a PROBE from here, and is offered all the same; if it runs, its policy refuses this host's \
             address (--allow-destination there), or a firewall drops UDP"
        ),
        (State::Alive, State::Dead) => {
            tracing::warn!(
                reflector = name,
                missed = health.missed,
                "answers no more; offered to nobody until it does"
            );
        }
        (State::Draining, State::Draining) => {}
        (_, State::Draining) => tracing::info!(reflector = name, "drains; offered to nobody"),
        (State::Dead | State::Draining, State::Alive) => tracing::info!(reflector = name, "answers again"),
        _ => {}
    }
}

/// Rounds from one STUN request to the next.
const STUN_EVERY: u64 = 10;
const LONGEST_ANSWER: usize = 256;

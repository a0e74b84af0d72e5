//! How a society comes to be: accounts and friendships by the operator's door, a device for each, a NAT for each.
//!
//! * Accounts of a run have names of their own, so that one store serves many runs.
//! * Devices are enrolled as real ones are; only the password's hash is a cheap one.

use crate::args::presence::PresencePlan;
use crate::error::Error;
use crate::keys::{Keys, grow};
use crate::load::socket::station::now_ns;
use crate::random::Random;
use crate::society::buddies::Buddies;
use crate::society::calls::{Answer, Call, Calls, Outcome, Question};
use crate::society::member::Member;
use crate::society::members::Parts;
use crate::society::operator::{Operator, cheap_hash};
use crate::society::share::share_of;
use nat::{Behaviour, Nat, PortChoice, PortPool, Rules, Settings};
use results::presence::Setup;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use wire::json::base64url::Bytes;
use wire::json::login::OfferedReflector;
use wire::json::name::{AccountName, DeviceId};

/// Adds accounts and friendships, enrols devices, and puts each behind a NAT whose ports are those of the sockets.
///
/// # Errors
/// The access server refuses or goes away, offers no reflector with an IPv4 address, or the run was interrupted.
pub fn settle(
    plan: &PresencePlan,
    ports: &[u16],
    secret: [u8; 32],
    calls: &mut Calls,
    interrupted: &AtomicBool,
) -> Result<(Parts, Setup), Error> {
    let start_ns = now_ns();
    let endpoints = plan.args.endpoints;
    let names = names(&secret, endpoints)?;
    let password = Bytes(grow(&secret, "password", 0, 0)).to_string();
    let mut salt = [0; 16];
    salt.iter_mut().zip(grow(&secret, "salt", 0, 0)).for_each(|(to, from)| *to = from);
    let mut operator = Operator::open(&plan.args.control, interrupted)?;
    operator.add_accounts(&names, &cheap_hash(&password, salt)?)?;
    let buddies = Buddies::new(endpoints, plan.args.buddies, &mut Random::new(plan.seed, PURPOSE_BUDDIES));
    tracing::info!("{endpoints} accounts added; making friends");
    let mut friendships = 0;
    for (one, other) in buddies.pairs() {
        if let (Some(one), Some(other)) = (names.get(one as usize), names.get(other as usize)) {
            operator.add_buddy(one, other)?;
            friendships += 1;
        }
        go_on(interrupted)?;
    }
    let hidden = hidden(plan);
    for number in &hidden {
        names.get(*number as usize).into_iter().try_for_each(|name| operator.hide(name))?;
        go_on(interrupted)?;
    }
    tracing::info!("{friendships} friendships made; enrolling devices");
    for (number, name) in (0..).zip(&names) {
        go_on(interrupted)?;
        let request = Keys::of(&secret, number).enrolment(name.clone(), &password);
        calls.ask(Call { endpoint: number, life: 0, question: Question::Enrol(Box::new(request)) });
    }
    let (devices, reflectors) = enrolled(endpoints, calls, interrupted)?;
    let mut members = members(plan, ports, &secret, &devices)?;
    for number in hidden {
        members.get_mut(number as usize).into_iter().for_each(|member| member.hides = true);
    }
    let elapsed_ns = now_ns().saturating_sub(start_ns);
    let late_us = plan.args.late / 1_000;
    let parts = Parts { members, names, buddies, reflectors, secret, late_us };
    Ok((parts, Setup { accounts: endpoints, friendships, elapsed_ns }))
}

/// The endpoints that hide their addresses.
fn hidden(plan: &PresencePlan) -> Vec<u32> {
    let mut order: Vec<u32> = (0..plan.args.endpoints).collect();
    Random::new(plan.seed, PURPOSE_HIDDEN).shuffle(&mut order);
    order.truncate(share_of(plan.args.endpoints, plan.args.hidden));
    order
}

/// Waits until every device is enrolled; their ids, and where to PROBE.
fn enrolled(
    endpoints: u32,
    calls: &mut Calls,
    interrupted: &AtomicBool,
) -> Result<(Vec<DeviceId>, Vec<OfferedReflector>), Error> {
    let mut devices = vec![DeviceId(Bytes([0; 16])); endpoints as usize];
    let mut reflectors = Vec::new();
    while calls.open_count() > 0 {
        let Some(Answer { endpoint, outcome, .. }) = calls.poll() else {
            go_on(interrupted)?;
            std::thread::sleep(GLANCE);
            continue;
        };
        match outcome {
            Outcome::Enrolled(answer) => {
                if let Some(device) = devices.get_mut(endpoint as usize) {
                    *device = answer.device;
                }
                reflectors = answer.reflectors;
            }
            Outcome::Refused(reason) | Outcome::Unanswered(reason) => {
                return Err(Error::Runtime(format!("a device was not enrolled: {reason}")));
            }
            Outcome::Login(_) | Outcome::LoggedOut | Outcome::LostSession => {}
        }
    }
    let usable = |it: &OfferedReflector| it.addresses.iter().any(SocketAddr::is_ipv4);
    reflectors.retain(usable);
    if reflectors.is_empty() {
        let text =
            "the access server offers no reflector with an IPv4 address; give it --reflector NAME=ADDR:PORT";
        return Err(Error::Configuration(text.to_owned()));
    }
    Ok((devices, reflectors))
}

fn go_on(interrupted: &AtomicBool) -> Result<(), Error> {
    if interrupted.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

fn names(secret: &[u8; 32], endpoints: u32) -> Result<Vec<AccountName>, Error> {
    let tag: String = grow(secret, "names", 0, 0).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let name = |number: u32| format!("load-{tag}-{number}").parse();
    let names = (0..endpoints).map(name).collect::<Result<_, _>>();
    names.map_err(|error: wire::json::name::NameError| {
        Error::Runtime(format!("no name for an account: {error}"))
    })
}

fn members(
    plan: &PresencePlan,
    ports: &[u16],
    secret: &[u8; 32],
    devices: &[DeviceId],
) -> Result<Vec<Member>, Error> {
    let refused = |error: nat::Error| Error::Usage(error.to_string());
    let mut sorted = ports.to_vec();
    sorted.sort_unstable();
    let ranges: Vec<_> = sorted.iter().map(|port| *port..=*port).collect();
    let pool = PortPool::new(&ranges).map_err(refused)?;
    let timeout_ms = plan.args.mapping_timeout / NS_PER_MS;
    let rules_of = |behaviour| {
        let settings = Settings {
            ports: pool.clone(),
            port_choice: PortChoice::Random { seed: plan.seed },
            mapping_timeout_ms: timeout_ms,
            filter_timeout_ms: timeout_ms,
            pinhole_limit: PINHOLES,
            ..Settings::of(behaviour)
        };
        Rules::new(settings).map(|rules| (behaviour, Arc::new(rules)))
    };
    let rules: Vec<(Behaviour, Arc<Rules>)> =
        Behaviour::ALL.into_iter().map(rules_of).collect::<Result<_, _>>().map_err(refused)?;
    let assignment = plan.args.nat.assignment();
    let mut members = Vec::with_capacity(devices.len());
    for ((number, device), port) in (0_u32..).zip(devices).zip(ports.iter().cycle()) {
        let behaviour = assignment.behaviour_of(number as usize);
        let Some((_, rules)) = rules.iter().find(|(each, _)| *each == behaviour) else { continue };
        let external = plan.addresses.get(u64::from(number));
        let inside = match behaviour {
            Behaviour::Open => SocketAddr::new(external, *port),
            Behaviour::Nat { .. } => SocketAddr::new(INSIDE, INSIDE_PORT),
        };
        let nat = Nat::new(Arc::clone(rules), external);
        members.push(Member::new(nat, inside, Keys::of(secret, number), *device));
    }
    Ok(members)
}

const PURPOSE_BUDDIES: u64 = 0x700_0000;
const PURPOSE_HIDDEN: u64 = 0x701_0000;
const NS_PER_MS: u64 = 1_000_000;
/// Between two looks at what has come.
const GLANCE: Duration = Duration::from_millis(1);
/// Mappings and remotes that a NAT keeps: each buddy by several addresses.
const PINHOLES: usize = 512;
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const INSIDE_PORT: u16 = 40_000;

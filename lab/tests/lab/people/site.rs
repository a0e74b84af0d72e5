//! A whole deployment in one lab: reflectors, an access server that holds their keys, and people with accounts.
//!
//! * Reflectors are named r1, r2, ...; all offer RFC 5780.
//! * Nothing is opened to them: the policy in force is the fixed one.

use crate::busy::{Watch, judged};
use crate::datagrams::daemon::{Daemon, Path, discovery_flags, eventually, write_private};
use crate::people::access_server::{ADMIN_TOKEN, AccessServer};
use crate::people::member::Member;
use lab::{Host, Lab};
use nat::Behaviour;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// A deployment.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    pub(crate) access: AccessServer,
    pub(crate) reflectors: Vec<Daemon>,
    pub(crate) delay: Duration,
}

/// How to deploy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) path: Path,
    pub(crate) reflectors: usize,
    pub(crate) access_flags: &'static [&'static str],
    pub(crate) reflector_flags: &'static [&'static str],
    /// Of each host's cable, one way.
    pub(crate) delay: Duration,
    /// Whether the access server reaches the reflectors' admin listeners, and takes rights back there.
    pub(crate) revokes: bool,
}

impl Plan {
    /// One reflector over this path, and defaults.
    pub(crate) fn of(path: Path) -> Self {
        let (access_flags, reflector_flags) = (&[], &[]);
        Self { path, reflectors: 1, access_flags, reflector_flags, delay: Duration::ZERO, revokes: false }
    }
}

impl Site {
    /// Deploys.
    pub(crate) fn new(plan: Plan) -> Self {
        let mut lab = Lab::new().unwrap();
        let mut access = AccessServer::new(lab.host("access").unwrap(), plan.access_flags);
        let mut reflectors = Vec::new();
        for number in 1..=plan.reflectors {
            let name = format!("r{number}");
            let host = lab.host(&name).unwrap();
            let discovery = discovery_flags(&host);
            let revoking = if plan.revokes { private_admin(&lab, &host, number) } else { Vec::new() };
            if let Some(admin) = revoking.get(1) {
                access.tell(&name, admin);
            }
            let own = discovery.iter().chain(&revoking).map(String::as_str);
            let flags: Vec<&str> = own.chain(plan.reflector_flags.iter().copied()).collect();
            reflectors.push(Daemon::start_with(host, plan.path, &flags, &access.ring(&name)));
        }
        access.launch(&named(&reflectors));
        let site = Self { lab, access, reflectors, delay: plan.delay };
        site.wait_for_discovery();
        site
    }

    /// Waits until the access server tells everybody that each reflector offers RFC 5780: it asks them now and then, and an
    /// answer that comes late, on a busy machine, is one that it has to ask for again.
    fn wait_for_discovery(&self) {
        let mut scouts = 0;
        eventually("every reflector is known to offer RFC 5780", || {
            // An account has a limited number of devices.
            let scout = format!("scout{scouts}");
            scouts += 1;
            self.access.add_accounts(&[&scout]);
            let known = self.access.offered_to(&scout).matches("\"behaviour\"").count();
            thread::sleep(Duration::from_millis(if known < self.reflectors.len() { 500 } else { 0 }));
            known == self.reflectors.len()
        });
    }

    /// People with accounts and devices, and which of them are buddies.
    pub(crate) fn people<const N: usize>(
        &mut self,
        people: [(&str, Behaviour); N],
        buddies: &[(usize, usize)],
    ) -> [Member; N] {
        self.access.add_accounts(&people.map(|(name, _)| name));
        for &(one, other) in buddies {
            self.access.befriend(people[one].0, people[other].0);
        }
        people.map(|(name, behaviour)| {
            let member = Member::new(&mut self.lab, name, behaviour, self.delay);
            member.enrol(&self.access);
            member
        })
    }

    /// Two buddies, online.
    pub(crate) fn pair(&mut self, alice: Behaviour, bob: Behaviour) -> [Member; 2] {
        let mut pair = self.people([("alice", alice), ("bob", bob)], &[(0, 1)]);
        judged("both know their NATs", || {
            let watch = Watch::start();
            pair.iter_mut().for_each(Member::up);
            let [alice, bob] = &pair;
            alice.hears("bob is online");
            bob.hears("alice is online");
            if alice.knows_its_nat() && bob.knows_its_nat() {
                return Ok(());
            }
            pair.iter_mut().for_each(Member::down);
            Err(watch.bad("one of them has misjudged its NAT"))
        });
        pair
    }

    /// Starts the access server again, after it was killed.
    pub(crate) fn relaunch_access(&mut self) {
        self.access.launch(&named(&self.reflectors));
    }

    /// Where the first reflector is.
    pub(crate) fn reflector(&self) -> SocketAddr {
        self.reflectors[0].ipv4
    }
}

/// Gives a reflector's host an address that the operator alone can reach, and the flags of an admin listener there at which
/// rights are taken back.
fn private_admin(lab: &Lab, host: &Host, number: usize) -> Vec<String> {
    let admin = format!("10.9.0.{number}");
    let near = host.link().near.interface();
    host.namespace().ip(&format!("addr add {admin}/32 dev {near}")).unwrap();
    lab.core().ip(&format!("route add {admin}/32 via {}", host.ipv4())).unwrap();
    let folder = host.namespace().folder().unwrap();
    let token = folder.join("admin-token");
    write_private(&token, ADMIN_TOKEN);
    let (token, kept) = (token.display().to_string(), folder.join("revocations").display().to_string());
    let admin = format!("{admin}:9464");
    ["--admin", &admin, "--admin-token", &token, "--revocations", &kept].map(str::to_owned).to_vec()
}

fn named(reflectors: &[Daemon]) -> Vec<(String, SocketAddr)> {
    reflectors.iter().zip(1..).map(|(it, number)| (format!("r{number}"), it.ipv4)).collect()
}

//! T1 at the pure parts: a million random attempts to have something minted for a stranger.

use crate::tickets::{MASTER, Tickets, address_of};
use access::config::Terms;
use access::fleet::Reflector;
use access::mint::sight::Sight;
use access::now::Now;
use access::presence::contact::{Contact, prove};
use access::presence::directory::{Device, Directory};
use access::presence::lease::Leases;
use access::presence::sessions::Shown;
use access::rules::Rules;
use nat::Behaviour;
use std::collections::BTreeSet;
use wire::header::Kind;
use wire::json::base64url::Bytes;
use wire::json::header::HeaderJson;
use wire::json::keys::{NoiseKey, SignKey};
use wire::json::login::{ContactProof, OfferedReflector, Stun};
use wire::json::name::{AccountName, DeviceId, ReflectorName};
use wire::{Form, Policy, TransportAddress};

/// xorshift64*, so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

#[test]
fn t1_a_million_random_tickets_prove_nothing() {
    let (tickets, rules, mut random) = (Tickets::of(MASTER), rules(), Random(1));
    let own = tickets.ticket("fra1", "9.9.9.1:4001", 100).header();
    // One moment for all, so that no ticket ends while they are tried.
    let now_s = crate::tickets::unix_s();
    let mut refused = 0_u32;
    for attempt in 0..1_000_000_u32 {
        let mut header = own;
        match attempt % 4 {
            // Somebody else's address in front of one's own tag.
            0 => {
                header.peer =
                    TransportAddress { address: 0xffff << 32 | u128::from(random.next() >> 32), port: 4001 }
            }
            1 => header.tag = random.next(),
            2 => header.expires += 1 + u32::try_from(random.next() % 20).unwrap(),
            _ => {
                header.peer.port = 1024 + u16::try_from(random.next() % 60_000).unwrap();
                header.class_key = u8::try_from(random.next() % 256).unwrap();
            }
        }
        let same = header == own;
        let proof = ContactProof { reflector: name("fra1"), ticket: HeaderJson::from(header), rtt_us: 1 };
        let outcome = prove(&proof, &rules, now_s);
        refused += u32::from(outcome.is_err() && !same);
        assert!(outcome.is_err() || same, "{header:?} was taken for a ticket");
    }
    assert!(refused > 999_000, "{refused}");
    let proof = ContactProof { reflector: name("fra1"), ticket: HeaderJson::from(own), rtt_us: 1 };
    assert!(prove(&proof, &rules, now_s).is_ok(), "the control");
}

#[test]
fn t1_a_million_pairs_get_headers_exactly_when_both_agreed_and_both_proved() {
    let mut random = Random(2);
    let (mut looked, mut minted) = (0_u32, 0_u32);
    while looked < 1_000_000 {
        let world = World::random(&mut random);
        for reader in 0..PEOPLE {
            looked += u32::try_from(world.check(reader, &mut minted)).unwrap();
        }
    }
    assert!(minted > 10_000, "the control: {minted} headers between buddies");
}

/// People who asked each other, and showed contacts, at random.
struct World {
    directory: Directory,
    rules: Rules,
    now: Now,
    asked: BTreeSet<(usize, usize)>,
    contacts: Vec<Vec<Contact>>,
}

impl World {
    fn random(random: &mut Random) -> Self {
        let now = Now { unix_s: 1_000_000, unix_ms: 1_000_000_000, boot_ns: 50_000_000_000 };
        let (mut directory, rules) = (Directory::new(1), rules());
        let (mut asked, mut contacts) = (BTreeSet::new(), Vec::new());
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        for person in 0..PEOPLE {
            directory.put_account(&account(person), true);
            let (sign, noise) = (SignKey(Bytes(key.to_bytes())), NoiseKey(Bytes([1; 32])));
            directory.put_device(device(person), Device::new(account(person), None, sign, noise).unwrap());
            let mut shown = Vec::new();
            for reflector in ["fra1", "ams1", "gone"] {
                if random.below(3) > 0 {
                    // From long ended, through the grace of 60 s, to fresh.
                    let ticket_expires = now.unix_s - 90 + u32::try_from(random.below(180)).unwrap();
                    let address =
                        address_of(&format!("9.9.{}.{person}:{}", random.below(9), 2_000 + random.below(9)));
                    shown.push(Contact {
                        reflector: name(reflector),
                        address,
                        ticket_expires,
                        rtt_us: 1,
                        noted_until_s: 0,
                    });
                }
            }
            if random.below(4) > 0 {
                let leases = Leases { lease_s: 120, grace_s: 60 };
                let session = [u8::try_from(person).unwrap(); 32];
                directory
                    .login(
                        device(person),
                        1,
                        Shown { session, nat: Behaviour::Open, contacts: shown.clone() },
                        leases,
                        now,
                    )
                    .unwrap();
            } else {
                shown.clear();
            }
            contacts.push(shown);
        }
        for _ in 0..PEOPLE * PEOPLE / 2 {
            let (a, b) = (random.below(PEOPLE), random.below(PEOPLE));
            if a != b {
                directory.ask(&account(a), &account(b));
                asked.insert((a, b));
            }
        }
        Self { directory, rules, now, asked, contacts }
    }

    /// Looks with the eyes of one at everybody, and compares with what the rules say; returns how many pairs of
    /// contacts that were.
    fn check(&self, reader: usize, minted: &mut u32) -> usize {
        let offered = ["fra1", "ams1"].map(|it| OfferedReflector {
            name: name(it),
            addresses: Vec::new(),
            stun: Stun::Off,
        });
        let sight = Sight {
            directory: &self.directory,
            rules: &self.rules,
            offered: &offered,
            device: device(reader),
            now: self.now,
        };
        let (profile, listed) = sight.profile().unwrap();
        let got: BTreeSet<(String, String, String)> = profile
            .buddies
            .iter()
            .flat_map(|buddy| buddy.devices.iter().map(move |device| (buddy, device)))
            .flat_map(|(buddy, device)| device.contacts.iter().map(move |contact| (buddy, contact)))
            .filter(|(_, contact)| contact.header.is_some())
            .map(|(buddy, it)| {
                (buddy.account.to_string(), it.reflector.to_string(), it.address.unwrap().to_string())
            })
            .collect();
        assert_eq!(got.len(), listed.len(), "what is minted is what the audit log gets");
        *minted += u32::try_from(got.len()).unwrap();
        let mut right = BTreeSet::new();
        let mut pairs = 0;
        for other in (0..PEOPLE).filter(|other| *other != reader) {
            let agreed = self.asked.contains(&(reader, other)) && self.asked.contains(&(other, reader));
            for (mine, theirs) in
                self.contacts[reader].iter().flat_map(|a| self.contacts[other].iter().map(move |b| (a, b)))
            {
                pairs += 1;
                let fresh = [mine, theirs].iter().all(|it| self.now.unix_s <= it.ticket_expires + 60);
                let meet = mine.reflector == theirs.reflector && mine.reflector.as_str() != "gone";
                if agreed && fresh && meet {
                    let address = theirs.address.to_socket().to_string();
                    right.insert((account(other).to_string(), theirs.reflector.to_string(), address));
                }
            }
        }
        assert_eq!(got, right);
        for it in listed {
            let ring = self.rules.ring(&it.reflector).unwrap();
            let header = wire::mint::send_header(ring, Form::Plain, 0, it.expires, it.from, it.to).unwrap();
            assert!(it.expires <= self.now.unix_s + 300 && header.kind == Kind::Send as u8);
        }
        pairs
    }
}

fn rules() -> Rules {
    let reflector = |text: &str| -> Reflector { text.parse().unwrap() };
    let config = access::config::Config {
        reflectors: vec![
            reflector("fra1=9.8.7.1:3478"),
            reflector("ams1=9.8.7.2:3478"),
            reflector("gone=9.8.7.3:3478"),
        ],
        policy: Policy::default(),
        terms: Terms { class: 0, lifetime_s: 300, lease_s: 120, keepalive_s: 15 },
        ..crate::operation::bare_config()
    };
    Rules::new(&config, &access::mint::master::Master::parse(MASTER).unwrap(), Vec::new()).unwrap()
}

fn account(person: usize) -> AccountName {
    format!("p{person}").parse().unwrap()
}

fn device(person: usize) -> DeviceId {
    DeviceId(Bytes([u8::try_from(person).unwrap(); 16]))
}

fn name(text: &str) -> ReflectorName {
    text.parse().unwrap()
}

const PEOPLE: usize = 12;

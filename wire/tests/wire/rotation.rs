//! Rotation of keys, as two parties live through it: who mints, and the reflector.
//!
//! * Rings travel as files, as they do between processes.
//! * Valid is what was minted under a key that both still hold: none may be refused.
//! * Retired is what was minted under a key that is gone, even when its id is in use again: none may be accepted.

use crate::random::Random;
use crate::setup::address;
use std::net::SocketAddr;
use wire::mint::{send_header, verify_ticket};
use wire::{Form, HEADER_LEN, Header, KeyRing, Kind, Policy, Reason, Verdict, decide, ring_file};

#[test]
fn t8_ten_thousand_rotations_refuse_nothing_valid_and_accept_nothing_retired() {
    let mut random = Random::new(60);
    let mut world = World::new(&mut random);
    for _ in 0..10_000 {
        world.rotate(&mut random);
    }
    assert_eq!(world.rotations, 10_000);
    let counts = (world.valid_accepted, world.retired_refused, world.tickets_accepted);
    assert!(counts.0 > 300_000 && counts.1 > 30_000 && counts.2 > 30_000, "{counts:?}");
}

#[test]
fn t8_any_order_of_steps_keeps_what_the_ring_holds_and_nothing_else() {
    let mut random = Random::new(61);
    let policy = Policy::default();
    let mut keys: Vec<Key> = vec![(0, random.secret())];
    let mut minted: Vec<(Key, Minted)> = Vec::new();
    let (mut accepted, mut refused) = (0u32, 0u32);
    for _ in 0..4_000 {
        match random.below(3) {
            0 if keys.len() < 16 => {
                let id =
                    (0..16).cycle().skip(random.below(16)).find(|id| keys.iter().all(|key| key.0 != *id));
                keys.push((id.unwrap(), random.secret()));
            }
            1 => {
                let key = keys.remove(random.below(keys.len()));
                keys.insert(0, key);
            }
            2 if keys.len() > 1 => {
                keys.remove(random.below(keys.len()));
            }
            _ => {}
        }
        let ring = by_file(&keys);
        minted.push((keys[0], Minted::new(&ring, &mut random)));
        if minted.len() > 64 {
            minted.swap_remove(random.below(64));
        }
        for (key, minted) in &minted {
            let verdict = minted.decided_by(&ring, &policy);
            if keys.contains(key) {
                assert_eq!(verdict, minted.relayed());
                accepted += 1;
            } else {
                assert!(matches!(verdict, Verdict::Drop(Reason::Key | Reason::Tag)), "{verdict:?}");
                refused += 1;
            }
        }
    }
    assert!(accepted > 50_000 && refused > 50_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn a_conversation_survives_rotation_while_its_key_is_listed_and_ends_with_it() {
    let mut random = Random::new(62);
    let policy = Policy::default();
    let (old, new) = ((1, random.secret()), (2, random.secret()));
    let minted = Minted::new(&by_file(&[old]), &mut random);
    let (mut datagram, mut from, mut to, mut now) = (minted.header, minted.from, minted.to, NOW);
    for keys in [&[old][..], &[old, new], &[new, old]] {
        let ring = by_file(keys);
        for _ in 0..100 {
            now += 299;
            assert_eq!(
                decide(&mut datagram, from, now, &ring, &policy),
                Verdict::Relay { to, class_key: minted.header[1] }
            );
            assert_eq!(Header::read(&datagram).class_key & 15, old.0, "renewed under the key that made it");
            datagram[0] = minted.header[0];
            (from, to) = (to, from);
        }
    }
    let verdict = decide(&mut datagram, from, now, &by_file(&[new]), &policy);
    assert_eq!(verdict, Verdict::Drop(Reason::Key));
}

/// The two parties' rings, and what was minted lately.
struct World {
    access: Vec<Key>,
    reflector: Vec<Key>,
    rotations: u32,
    recent: Vec<(Key, Minted)>,
    retired: Vec<Minted>,
    valid_accepted: u32,
    retired_refused: u32,
    tickets_accepted: u32,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let keys = vec![(0, random.secret())];
        Self {
            access: keys.clone(),
            reflector: keys,
            rotations: 0,
            recent: Vec::new(),
            retired: Vec::new(),
            valid_accepted: 0,
            retired_refused: 0,
            tickets_accepted: 0,
        }
    }

    /// Adds a key last, moves it first, removes the old one; in each step one party is ahead of the other.
    fn rotate(&mut self, random: &mut Random) {
        let old = self.access[0];
        let new = ((old.0 + 1 + random.u8() % 15) % 16, random.secret());
        for keys in [vec![old, new], vec![new, old]] {
            let access_first = random.u8() & 1 == 0;
            for access in [access_first, !access_first] {
                *(if access { &mut self.access } else { &mut self.reflector }) = keys.clone();
                self.serve(random);
            }
        }
        // One longest lifetime later nothing of the old key is alive any more.
        let gone = self.recent.extract_if(.., |(key, _)| *key == old).map(|(_, minted)| minted);
        self.retired.extend(gone);
        for access in [true, false] {
            *(if access { &mut self.access } else { &mut self.reflector }) = vec![new];
            self.serve(random);
        }
        let ring = by_file(&self.reflector);
        for minted in &self.retired {
            let verdict = minted.decided_by(&ring, &Policy::default());
            assert!(matches!(verdict, Verdict::Drop(Reason::Key | Reason::Tag)), "{verdict:?}");
            self.retired_refused += 1;
        }
        let surplus = self.retired.len().saturating_sub(32);
        self.retired.drain(..surplus);
        self.rotations += 1;
    }

    /// Mints one capability and one ticket, and serves them and all that is still valid.
    fn serve(&mut self, random: &mut Random) {
        let (access, reflector) = (by_file(&self.access), by_file(&self.reflector));
        let minted = Minted::new(&access, random);
        let mut probe = [0; HEADER_LEN];
        probe[0] = Kind::Probe as u8;
        let verdict = decide(&mut probe, minted.from, NOW, &reflector, &Policy::default());
        assert_eq!(verdict, Verdict::Observe);
        assert_eq!(verify_ticket(&access, &Header::read(&probe), NOW), Ok(address(minted.from)));
        self.tickets_accepted += 1;
        self.recent.push((self.access[0], minted));
        for (_, minted) in &self.recent {
            assert_eq!(minted.decided_by(&reflector, &Policy::default()), minted.relayed());
            self.valid_accepted += 1;
        }
    }
}

type Key = (u8, [u8; 16]);

/// A capability on its way.
struct Minted {
    header: [u8; HEADER_LEN],
    from: SocketAddr,
    to: SocketAddr,
}

impl Minted {
    fn new(ring: &KeyRing, random: &mut Random) -> Self {
        let (from, to) = (random.public(), random.public());
        let form = if random.u8() & 1 == 0 { Form::Plain } else { Form::Sealed };
        let header =
            send_header(ring, form, random.u8() & 15, NOW + 300, address(from), address(to)).unwrap();
        Self { header: header.to_bytes(), from, to }
    }

    fn decided_by(&self, ring: &KeyRing, policy: &Policy) -> Verdict {
        decide(&mut self.header.clone(), self.from, NOW, ring, policy)
    }

    fn relayed(&self) -> Verdict {
        Verdict::Relay { to: self.to, class_key: self.header[1] }
    }
}

fn by_file(keys: &[Key]) -> KeyRing {
    let text: String = keys.iter().map(|(id, secret)| ring_file::render(*id, secret)).collect();
    ring_file::parse(&text).unwrap()
}

const NOW: u32 = 1_800_000_000;

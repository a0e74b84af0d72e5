//! What a sealed header tells those who see it: nothing about the other side's address.
//!
//! * Every statistic has its control: the same over headers sealed carelessly, which it must notice.

use crate::random::Random;
use crate::setup::address;
use std::net::SocketAddr;
use wire::mint::send_header;
use wire::{
    Form, HEADER_LEN, Header, KeyId, KeyRing, Policy, Reason, TransportAddress, Verdict, decide, seal,
};

#[test]
fn both_fields_of_a_pair_together_say_nothing_about_either_address() {
    let mut random = Random::new(100);
    let (mut found, mut careless) = (Bias::default(), Bias::default());
    for _ in 0..CONVERSATIONS {
        let Talk { ring, sent, received, source, destination } = Talk::new(&mut random);
        let (a, b) = (address(source), address(destination));
        // With one mask for both, this sum would be zero: each side would have the other's address.
        found.take(&[sent.peer, received.peer, a, b]);
        let key = ring.get(KeyId::of_header(sent.class_key)).unwrap();
        let one_mask = seal::mask(key, sent.tag, a, a);
        careless.take(&[sent.peer, one_mask, a, b]);
    }
    found.is_none();
    assert_eq!(careless.zeros, CONVERSATIONS, "the control finds every address");
}

#[test]
fn a_renewal_gives_a_field_that_has_nothing_to_do_with_the_one_before() {
    let mut random = Random::new(101);
    let (mut found, mut kept) = (Bias::default(), Bias::default());
    for _ in 0..CONVERSATIONS {
        let Talk { ring, received, source, destination, .. } = Talk::new(&mut random);
        let renewed_at = received.expires - 60;
        for (now, bias) in [(renewed_at, &mut found), (received.expires - 200, &mut kept)] {
            // There and back again: what the receiver has for the same sender, before and after.
            let mut datagram = answer(received).to_bytes();
            relayed(&mut datagram, destination, source, now, &ring);
            let mut datagram = answer(Header::read(&datagram)).to_bytes();
            relayed(&mut datagram, source, destination, now, &ring);
            bias.take(&[Header::read(&datagram).peer, received.peer]);
        }
    }
    found.is_none();
    assert_eq!(kept.zeros, CONVERSATIONS, "the control: without renewal the field is the same");
}

#[test]
fn a_receiver_who_guesses_the_sender_cannot_test_the_guess() {
    let mut random = Random::new(102);
    let policy = Policy::default();
    for _ in 0..20_000 {
        let Talk { ring, received, source, destination, .. } = Talk::new(&mut random);
        let (a, b) = (address(source), address(destination));
        // The guess is right, and the receiver can forge any source. Its own mask follows from field and guess.
        let own_mask = sum(&[received.peer, a]);
        let fields = [sum(&[b, own_mask]), sum(&[a, own_mask]), received.peer, b, a];
        for (field, from) in fields.iter().flat_map(|field| [(field, source), (field, destination)]) {
            let right = *field == received.peer && from == destination;
            let mut forged = Header { peer: *field, ..answer(received) }.to_bytes();
            let verdict = decide(&mut forged, from, NOW, &ring, &policy);
            assert_eq!(matches!(verdict, Verdict::Relay { .. }), right, "{field:?} from {from}");
            assert!(right || verdict == Verdict::Drop(Reason::Tag), "{verdict:?}");
        }
    }
}

#[test]
fn a_sealed_header_is_never_a_plain_one_nor_a_plain_one_sealed() {
    let mut random = Random::new(103);
    let policy = Policy::default();
    for _ in 0..10_000 {
        let ring = KeyRing::new(&[(random.u8() & 15, random.secret())]).unwrap();
        let (source, destination) = (random.public(), random.public());
        let (a, b) = (address(source), address(destination));
        let [plain, sealed] =
            [Form::Plain, Form::Sealed].map(|form| send_header(&ring, form, 3, NOW + 300, a, b).unwrap());
        assert_ne!(plain.tag, sealed.tag);
        for (kind, tag) in [(plain.kind, sealed.tag), (sealed.kind, plain.tag)] {
            for peer in [plain.peer, sealed.peer] {
                let mut forged = Header { kind, tag, peer, ..plain }.to_bytes();
                let verdict = decide(&mut forged, source, NOW, &ring, &policy);
                // What a sealed field spells as a plain destination may be one that is refused.
                assert!(matches!(verdict, Verdict::Drop(Reason::Tag | Reason::Destination)), "{verdict:?}");
            }
        }
    }
}

#[test]
fn the_family_stays_visible_and_a_mask_comes_off_as_it_went_on() {
    let mut random = Random::new(104);
    for _ in 0..20_000 {
        let ring = KeyRing::new(&[(5, random.secret())]).unwrap();
        let key = ring.get(ring.minting()).unwrap();
        let (tag, holder, field) = (random.u64(), address(random.public()), address(random.public()));
        let masked = seal::mask(key, tag, holder, field);
        assert_eq!(masked.is_ipv4(), field.is_ipv4());
        assert_eq!(seal::mask(key, tag, holder, masked), field);
        let other = address(random.public());
        assert_ne!(seal::mask(key, tag, other, masked), field);
        assert_ne!(seal::mask(key, tag ^ 1, holder, masked), field);
    }
}

/// A sealed header before and after the reflector.
struct Talk {
    ring: KeyRing,
    sent: Header,
    received: Header,
    source: SocketAddr,
    destination: SocketAddr,
}

impl Talk {
    fn new(random: &mut Random) -> Self {
        let ring = KeyRing::new(&[(random.u8() & 15, random.secret())]).unwrap();
        let (source, destination) = match random.u8() & 1 {
            0 => (random.public_v4(), random.public_v4()),
            _ => (random.public_v6(), random.public_v6()),
        };
        let (a, b) = (address(source), address(destination));
        let sent = send_header(&ring, Form::Sealed, 0, NOW + 300, a, b).unwrap();
        let mut datagram = sent.to_bytes();
        relayed(&mut datagram, source, destination, NOW, &ring);
        Self { ring, sent, received: Header::read(&datagram), source, destination }
    }
}

/// The header of an answer: byte 0, and nothing else.
fn answer(received: Header) -> Header {
    assert_eq!(received.kind, 0x0e);
    Header { kind: 0x0d, ..received }
}

fn relayed(datagram: &mut [u8; HEADER_LEN], from: SocketAddr, to: SocketAddr, now: u32, ring: &KeyRing) {
    let class_key = datagram[1];
    assert_eq!(decide(datagram, from, now, ring, &Policy::default()), Verdict::Relay { to, class_key });
}

/// How often each bit of a sum of addresses is set.
#[derive(Default)]
struct Bias {
    sums: usize,
    zeros: usize,
    ports: [usize; 16],
    /// The 32 lowest bits, which both families have.
    hosts: [usize; 32],
}

impl Bias {
    fn take(&mut self, addresses: &[TransportAddress]) {
        let sum = sum(addresses);
        self.sums += 1;
        self.zeros += usize::from(sum.port == 0 && sum.address as u32 == 0);
        (0..16).for_each(|bit| self.ports[bit] += usize::from(sum.port >> bit & 1));
        (0..32).for_each(|bit| self.hosts[bit] += (sum.address >> bit & 1) as usize);
    }

    /// Every bit is set in half of the sums, give or take five standard deviations, and no sum is zero.
    fn is_none(&self) {
        assert_eq!(self.zeros, 0);
        let most = 2.5 * (self.sums as f64).sqrt();
        for (bit, set) in self.ports.iter().chain(&self.hosts).enumerate() {
            let off = *set as f64 - self.sums as f64 / 2.0;
            assert!(off.abs() < most, "bit {bit} is set in {set} of {} sums", self.sums);
        }
    }
}

/// The exclusive or of ports and of addresses; of two of one family, ::ffff: in front cancels out.
fn sum(addresses: &[TransportAddress]) -> TransportAddress {
    let zero = TransportAddress { address: 0, port: 0 };
    addresses.iter().fold(zero, |sum, it| TransportAddress {
        address: sum.address ^ it.address,
        port: sum.port ^ it.port,
    })
}

const CONVERSATIONS: usize = 20_000;
const NOW: u32 = 1_800_000_000;

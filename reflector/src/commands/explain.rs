//! `explain`: walks one datagram through every check, in words.
//!
//! * The verdict is that of the function that decides in the daemon; the rows only put words to it.
//! * The first check that fails is the one the verdict names; what stands behind it was not reached.

use crate::stun::answer::examine;
use crate::stun::settings::Mode;
use ::stun::message::starts_like_stun;
use program::failure::Failure;
use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use wire::decide::{MAX_LIFETIME_S, MAX_PROBE};
use wire::header::{HEADER_LEN, Header, Kind};
use wire::{KeyId, KeyRing, Policy, Reason, TransportAddress, Verdict, seal};

/// A datagram, and everything that its fate depends on.
#[derive(Clone, Debug)]
pub struct Question {
    /// The bytes.
    pub datagram: Vec<u8>,
    /// Where they came from, as the reflector sees it.
    pub source: SocketAddr,
    /// Unix time, s.
    pub now_s: u32,
    /// The keys.
    pub ring: KeyRing,
    /// The policy.
    pub policy: Policy,
    /// What STUN is spoken.
    pub stun: Mode,
}

/// Prints every check and the verdict.
///
/// # Errors
/// Nobody who reads.
pub fn run(question: &Question, out: &mut dyn Write) -> Result<(), Failure> {
    out.write_all(text(question).as_bytes())?;
    Ok(())
}

/// The explanation.
pub fn text(question: &Question) -> String {
    let Question { datagram, source, now_s, ring, policy, stun } = question;
    let mut rewritten = datagram.clone();
    let verdict = if policy.denies_source(source.ip()) {
        Verdict::Drop(Reason::Denied)
    } else {
        wire::decide(&mut rewritten, *source, *now_s, ring, policy)
    };
    let mut text = format!("{} bytes from {source} at unix time {now_s}\n", datagram.len());
    if *stun != Mode::Off && !policy.denies_source(source.ip()) && starts_like_stun(datagram) {
        text.push_str(&stun_words(question));
        return text;
    }
    let mut failed = false;
    // Writing to a String cannot fail, so the results of `write!` say nothing here.
    for row in rows(question) {
        let fails = !failed && verdict == Verdict::Drop(row.reason) && row.suspect;
        let word = match (failed, fails, row.applies) {
            (true, ..) => "not reached",
            (_, true, _) => "FAILED",
            (_, _, false) => "-",
            _ => "ok",
        };
        let _ = writeln!(text, "  {:<12} {word:<12} {}", row.reason.as_str(), row.words);
        failed = failed || fails;
    }
    let _ = match verdict {
        Verdict::Drop(reason) => writeln!(text, "dropped: {reason}; nothing is sent"),
        Verdict::Observe => {
            writeln!(text, "observed: goes back to {source} as\n{}", header_words(&rewritten))
        }
        Verdict::Relay { to, .. } => writeln!(text, "relayed: goes to {to} as\n{}", header_words(&rewritten)),
    };
    let _ = match verdict {
        Verdict::Drop(_) => Ok(()),
        _ => writeln!(text, "unless a budget is spent (rate), which no single datagram can tell"),
    };
    text
}

/// A check.
struct Row {
    reason: Reason,
    applies: bool,
    /// Whether this row, of several with one reason, is the one that fails.
    suspect: bool,
    words: String,
}

impl Row {
    fn new(reason: Reason, applies: bool, words: impl Into<String>) -> Self {
        Self { reason, applies, suspect: true, words: words.into() }
    }
}

fn rows(question: &Question) -> Vec<Row> {
    let Question { datagram, source, policy, .. } = question;
    let length = datagram.len();
    let mut rows = vec![
        Row::new(Reason::Denied, true, format!("source {} against --deny-source", source.ip())),
        Row::new(Reason::Short, true, format!("{length} bytes; a header has {HEADER_LEN}")),
    ];
    let Some(header) = datagram.first_chunk::<HEADER_LEN>().map(Header::read) else {
        return rows;
    };
    let probe = header.kind == Kind::Probe as u8;
    let most = if probe { policy.max_datagram.min(MAX_PROBE) } else { policy.max_datagram };
    let mut size = Row::new(Reason::Oversize, true, format!("{length} bytes; at most {most} are taken"));
    size.suspect = length > most;
    rows.push(size);
    rows.push(Row::new(Reason::Kind, true, format!("0x{:02x} {}", header.kind, kind_words(header.kind))));
    let words = format!("{source} must be an address and port that the policy would allow as destination");
    rows.push(Row::new(Reason::Source, probe, words));
    rows.extend(send_rows(question, &header, !probe));
    rows
}

fn send_rows(question: &Question, header: &Header, applies: bool) -> Vec<Row> {
    let Question { datagram, source, now_s, ring, policy, .. } = question;
    let id = KeyId::of_header(header.class_key);
    let ids: Vec<String> = ring.ids().map(|id| id.get().to_string()).collect();
    let left_s = i64::from(header.expires) - i64::from(*now_s);
    let age = if left_s < 0 { format!("{} s ago", -left_s) } else { format!("in {left_s} s") };
    let sealed = header.kind == Kind::SealedSend as u8;
    let to = if sealed { unmasked(header, *source, ring) } else { Some(header.peer) };
    let mut rows = vec![
        Row::new(Reason::Key, applies, format!("key {}; the ring holds {}", id.get(), ids.join(", "))),
        Row::new(Reason::Expired, applies, format!("expires {} ({age})", header.expires)),
        Row::new(Reason::Lifetime, applies, format!("expires {age}; at most {MAX_LIFETIME_S} s ahead")),
    ];
    let Some(to) = to else { return rows };
    let longest = policy.longest_to(to);
    let words = format!("{} bytes; at most {longest} go to this family", datagram.len());
    let mut size = Row::new(Reason::Oversize, applies, words);
    size.suspect = datagram.len() > longest;
    let destination = Row::new(Reason::Destination, applies, destination_words(policy, to));
    let (tag, class) = (hex::encode(header.tag.to_le_bytes()), header.class_key >> 4);
    let draft = if is_of_the_draft(header, *source, to, ring) {
        "; it is the tag of this protocol before version 1: mint with a program of this version"
    } else {
        ""
    };
    let words = format!("{tag} for {source} and {}, class {class}{draft}", to.to_socket());
    let tag = Row::new(Reason::Tag, applies, words);
    // What is sealed is proven first: until then its destination means nothing.
    rows.extend(if sealed { [tag, destination, size] } else { [destination, size, tag] });
    let words = "neither side is revoked, nor the pair of both";
    rows.push(Row::new(Reason::Revoked, applies, words));
    rows
}

/// Whether a tag is right by the rule from before version 1, which hashed both addresses at full length.
fn is_of_the_draft(header: &Header, source: SocketAddr, to: TransportAddress, ring: &KeyRing) -> bool {
    let (Some(key), Some(from)) =
        (ring.get(KeyId::of_header(header.class_key)), TransportAddress::from_socket(source))
    else {
        return false;
    };
    let (low, high) = if from <= to { (from, to) } else { (to, from) };
    let [l0, l1] = halves(low);
    let [h0, h1] = halves(high);
    let ports = u64::from(low.port.swap_bytes()) | u64::from(high.port.swap_bytes()) << 16;
    let purpose = 0x0a | u64::from(header.class_key) << 8 | u64::from(header.expires.swap_bytes()) << 32;
    header.kind == Kind::Send as u8 && key.hash(&[purpose, l0, l1, h0, h1, ports]) == header.tag
}

fn halves(address: TransportAddress) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = address.address.to_be_bytes();
    [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(rest)]
}

/// The destination of a SEALED_SEND, if its key is there.
fn unmasked(header: &Header, source: SocketAddr, ring: &KeyRing) -> Option<TransportAddress> {
    let key = ring.get(KeyId::of_header(header.class_key))?;
    Some(seal::mask(key, header.tag, TransportAddress::from_socket(source)?, header.peer))
}

/// What STUN does with it, at an address that has alternates if those belong to what is spoken.
fn stun_words(question: &Question) -> String {
    let Question { datagram, source, policy, stun, .. } = question;
    let outcome = match examine(datagram, *source, *stun == Mode::Behaviour, policy) {
        Err(refusal) => format!("dropped: {}; nothing is sent", refusal.as_str()),
        Ok(request) if request.unknown.kinds().is_empty() => {
            format!("answered: a Binding success response goes to {source}")
        }
        Ok(request) => {
            let kinds: Vec<String> = request.unknown.kinds().iter().map(|it| format!("0x{it:04x}")).collect();
            format!("rejected: error 420 goes to {source}, for attributes {}", kinds.join(", "))
        }
    };
    format!("handed to STUN: a first byte of 0 to 3, and the magic cookie\n{outcome}\n")
}

fn destination_words(policy: &Policy, to: TransportAddress) -> String {
    let socket = to.to_socket();
    if !policy.sends_to_family_of(to) {
        return format!("{socket}, of a family that the reflector has no socket of");
    }
    let opened = Policy { allow_destination: everything(), ..policy.clone() };
    if policy.permits(to) {
        format!("{socket} is allowed")
    } else if policy.deny_destination.contains(to.ip()) {
        format!("{socket} is on the list of --deny-destination")
    } else if policy.own.contains(&to) || policy.host.contains(to.ip()) {
        format!("{socket} is the reflector's own")
    } else if opened.permits(to) {
        format!("{socket} is a special-purpose address that no --allow-destination opens")
    } else {
        format!(
            "{socket} is never allowed: a refused port, multicast, broadcast, metadata, or IPv4 inside IPv6"
        )
    }
}

fn everything() -> wire::BlockSet {
    let blocks = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|text| text.parse().ok());
    wire::BlockSet::new(&blocks.collect::<Vec<_>>())
}

fn kind_words(kind: u8) -> &'static str {
    match kind {
        0x08 => "PROBE",
        0x09 => "OBSERVED: only a reflector sends it, none takes it",
        0x0a => "SEND",
        0x0b => "DATA: only a reflector sends it, none takes it; to answer, set byte 0 to 0x0a",
        0x0c => "PEER: between endpoints, no reflector takes it",
        0x0d => "SEALED_SEND",
        0x0e => "SEALED_DATA: only a reflector sends it, none takes it; to answer, set byte 0 to 0x0d",
        _ => "is no kind; a reflector takes PROBE (0x08), SEND (0x0a) and SEALED_SEND (0x0d)",
    }
}

fn header_words(datagram: &[u8]) -> String {
    let Some(bytes) = datagram.first_chunk::<HEADER_LEN>() else { return String::new() };
    let header = Header::read(bytes);
    let masked = if header.kind == Kind::SealedData as u8 { " (masked)" } else { "" };
    format!(
        "  kind         {}\n  peer         {}{masked}\n  class, key   {}, {}\n  expires      {}\n  tag          {}\n  bytes        {}",
        kind_words(header.kind).split(':').next().unwrap_or_default(),
        header.peer.to_socket(),
        header.class_key >> 4,
        header.class_key & 15,
        header.expires,
        hex::encode(header.tag.to_le_bytes()),
        hex::encode(bytes),
    )
}

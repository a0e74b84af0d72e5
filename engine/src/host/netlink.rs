//! What the kernel says of links, neighbours, routes and rules, asked for in full and followed by word of change.
//!
//! ```text
//! message    len (4) | type (2) | flags (2) | sequence (4) | port (4) | body, then attributes; padded to 4 bytes
//! attribute  len (2) | type (2) | data; padded to 4 bytes
//! ```
//!
//! * Read as bytes; a message or attribute that claims more than is there ends the reading.
//! * A dump is whole or an error: one that the kernel says was interrupted is asked for again.
//! * A follower says only *that* something changed; what is so now is asked for, so lost words lose nothing.
//!
//! Source: rtnetlink(7), netlink(7), linux/rtnetlink.h, linux/neighbour.h, linux/fib_rules.h.

#![allow(unsafe_code)]

pub mod rows;

use crate::exact;
use crate::host::netlink::rows::{LOCAL_TABLE, Link, Neighbour, Route, Rule};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// A socket that asks.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// A socket to the routing part of the kernel, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What socket(2) says.
    pub fn open() -> io::Result<Self> {
        let socket = socket()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Every link of the namespace.
    ///
    /// # Errors
    /// What the kernel says; a dump interrupted again and again.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        self.dump(libc::RTM_GETLINK, &[0; 16], Link::read)
    }

    /// Every neighbour of every link, of both families.
    ///
    /// # Errors
    /// As for [`Netlink::links`].
    pub fn neighbours(&mut self) -> io::Result<Vec<Neighbour>> {
        self.dump(libc::RTM_GETNEIGH, &[0; 12], Neighbour::read)
    }

    /// Every route of every table, of both families.
    ///
    /// # Errors
    /// As for [`Netlink::links`].
    pub fn routes(&mut self) -> io::Result<Vec<Route>> {
        let mut routes = self.dump(libc::RTM_GETROUTE, &of_family(AF_INET), Route::read)?;
        routes.extend(self.dump(libc::RTM_GETROUTE, &of_family(AF_INET6), Route::read)?);
        Ok(routes)
    }

    /// The routes of the table that holds a host's own addresses, of both families.
    ///
    /// Where the kernel can (4.20 and newer) it sends only these: a host may have a million others.
    ///
    /// # Errors
    /// As for [`Netlink::links`].
    pub fn local_routes(&mut self) -> io::Result<Vec<Route>> {
        let strict = self.set_strict(true).is_ok();
        let mut routes = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut body = of_family(family);
            if strict {
                body[TABLE_AT] = LOCAL_TABLE_BYTE;
            }
            routes.extend(self.dump(libc::RTM_GETROUTE, &body, Route::read)?);
        }
        if strict {
            self.set_strict(false)?;
        }
        routes.retain(|route| route.table == LOCAL_TABLE);
        Ok(routes)
    }

    /// Whether what a request says beside its kind selects rows.
    fn set_strict(&self, on: bool) -> io::Result<()> {
        let value = i32::from(on);
        let len = exact::len_of::<i32>();
        let (level, option) = (libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK);
        // SAFETY: the descriptor is open, the pointer is to a live i32, and `len` is its size.
        let done = unsafe {
            libc::setsockopt(self.socket.as_raw_fd(), level, option, (&raw const value).cast(), len)
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Every rule that chooses a table, of both families.
    ///
    /// # Errors
    /// As for [`Netlink::links`].
    pub fn rules(&mut self) -> io::Result<Vec<Rule>> {
        let mut rules = self.dump(libc::RTM_GETRULE, &of_family(AF_INET), Rule::read)?;
        rules.extend(self.dump(libc::RTM_GETRULE, &of_family(AF_INET6), Rule::read)?);
        Ok(rules)
    }

    fn dump<T>(&mut self, kind: u16, body: &[u8], read: fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        for _ in 0..ATTEMPTS {
            if let Some(rows) = self.dump_once(kind, body, read)? {
                return Ok(rows);
            }
        }
        Err(io::Error::other("the kernel's tables change faster than they can be read"))
    }

    /// The rows of one dump; none if the kernel says that it changed in between.
    fn dump_once<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        read: fn(&[u8]) -> Option<T>,
    ) -> io::Result<Option<Vec<T>>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&request(kind, self.sequence, body))?;
        let (mut rows, mut whole) = (Vec::new(), true);
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            let len = (&self.socket).read(&mut buffer)?;
            let (mut rest, _) = buffer.split_at(len);
            while let Some((message, next)) = Message::split(rest) {
                rest = next;
                if message.sequence != self.sequence {
                    continue;
                }
                whole &= message.flags & DUMP_INTERRUPTED == 0;
                match message.kind {
                    DONE => return Ok(whole.then_some(rows)),
                    ERROR => return Err(error_of(message.body)),
                    _ => rows.extend(read(message.body)),
                }
            }
        }
    }
}

/// A socket that hears of changes to links, neighbours, routes and rules.
#[derive(Debug)]
pub struct Follower(Socket);

impl Follower {
    /// Hears of everything from now on.
    ///
    /// # Errors
    /// What socket(2) and setsockopt(2) say.
    pub fn open() -> io::Result<Self> {
        let socket = socket()?;
        socket.set_nonblocking(true)?;
        bind(&socket)?;
        for group in GROUPS {
            let (level, option) = (libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP);
            let value = (&raw const group).cast();
            let len = exact::len_of::<u32>();
            // SAFETY: the descriptor is open, `value` points to a live u32, and `len` is its size.
            let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) };
            if done != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self(socket))
    }

    /// Whether anything changed since this was asked last. Words lost to a full queue count as a change.
    pub fn changed(&self) -> bool {
        let (mut changed, mut buffer) = (false, vec![0; BUFFER_LEN]);
        for _ in 0..MOST_WORDS {
            match (&self.0).read(&mut buffer) {
                Ok(_) => changed = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return changed,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS: words were lost.
                Err(_) => changed = true,
            }
        }
        changed
    }
}

/// One message.
#[derive(Debug)]
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Message<'_> {
    fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
        let (head, _) = bytes.split_first_chunk::<HEAD_LEN>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *head;
        let len = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body: bytes.get(HEAD_LEN..len)?,
        };
        Some((message, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
    }
}

fn socket() -> io::Result<Socket> {
    let (domain, protocol) = (Domain::from(libc::AF_NETLINK), Protocol::from(libc::NETLINK_ROUTE));
    Socket::new(domain, Type::RAW, Some(protocol))
}

/// Gives the socket a port of its own: to the kernel one without looks like the sender of its words, who hears none.
fn bind(socket: &Socket) -> io::Result<()> {
    // SAFETY: all-zero bytes are a value of this struct of integers.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = AF_NETLINK;
    let len = exact::len_of::<libc::sockaddr_nl>();
    // SAFETY: the descriptor is open, and `address` is a live sockaddr_nl of `len` bytes.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A request for everything of a kind.
fn request(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEAD_LEN + body.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEAD_LEN + body.len());
    bytes.extend(len.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

/// A body of 12 bytes whose first is the family, as routes and rules have it.
fn of_family(family: u8) -> [u8; 12] {
    let mut body = [0; 12];
    body[0] = family;
    body
}

fn error_of(body: &[u8]) -> io::Error {
    let errno = body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    io::Error::from_raw_os_error(errno.saturating_neg())
}

const HEAD_LEN: usize = 16;
/// As much as the kernel puts into one datagram of a dump.
const BUFFER_LEN: usize = 64 << 10;
/// Dumps tried before giving up.
const ATTEMPTS: usize = 8;
/// Words of change taken at once; what is left makes the next look find a change.
const MOST_WORDS: usize = 1_024;
/// The kernel answers at once; this only keeps a defect from hanging the caller.
const PATIENCE: Duration = Duration::from_secs(5);
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// NLM_F_REQUEST and NLM_F_DUMP.
const REQUEST_DUMP: u16 = 0x301;
/// NLM_F_DUMP_INTR.
const DUMP_INTERRUPTED: u16 = 0x10;
/// Where a request for routes says which table, and that table.
const TABLE_AT: usize = 4;
const LOCAL_TABLE_BYTE: u8 = 255;
/// Families, as addresses and messages have them.
const AF_NETLINK: libc::sa_family_t = 16;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// RTNLGRP_LINK, NEIGH, IPV4_ROUTE, IPV4_RULE, IPV6_ROUTE, IPV6_RULE.
const GROUPS: [u32; 6] = [1, 3, 7, 8, 11, 19];

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::IpAddr;

    #[test]
    fn the_kernel_tells_of_loopback() {
        let mut netlink = Netlink::open().unwrap();
        let links = netlink.links().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.index > 0 && lo.mtu >= 1_280, "{lo:?}");
        let rules = netlink.rules().unwrap();
        assert!(rules.iter().filter(|rule| rule.is_standard()).count() >= 2, "{rules:?}");
        netlink.routes().unwrap();
        netlink.neighbours().unwrap();
        let local = netlink.local_routes().unwrap();
        assert!(
            local
                .iter()
                .any(|it| it.delivered && it.network == IpAddr::from([127, 0, 0, 0]) && it.prefix == 8)
        );
        assert!(local.iter().all(|route| route.table == LOCAL_TABLE));
        assert!(netlink.routes().unwrap().len() >= local.len(), "asking for all again gives all");
    }

    #[test]
    fn what_claims_more_than_is_there_ends_the_reading() {
        let mut message = request(libc::RTM_GETLINK, 7, &[1, 2, 3, 4]);
        let (read, rest) = Message::split(&message).unwrap();
        assert_eq!((read.kind, read.sequence, read.body), (libc::RTM_GETLINK, 7, &[1_u8, 2, 3, 4][..]));
        assert!(rest.is_empty());
        for claimed in [0_u32, 15, 21, u32::MAX] {
            message[..4].copy_from_slice(&claimed.to_ne_bytes());
            assert!(Message::split(&message).is_none(), "{claimed}");
        }
    }

    #[test]
    fn a_refusal_is_its_errno() {
        let mut netlink = Netlink::open().unwrap();
        // No message is of this kind.
        let refused = netlink.dump(0xfff0, &[0; 16], Link::read).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}

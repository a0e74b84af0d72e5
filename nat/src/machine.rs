//! One NAT as a pure state machine: what leaves gets an external transport address, what enters gets an inside one.
//!
//! * Nothing enters towards an inside host that did not send first from that very external port.
//! * An external port and a remote lead to one inside host at most, also where ports are overloaded.
//! * Memory is bounded by the limit on pinholes; what has expired is reclaimed before anything new is kept.
//! * Once its pinholes exist, a NAT allocates nothing; with one mapping it holds no heap at all.
//! * An open host is the same machine without memory: both ways pass unchanged.

use crate::error::{HairpinRefusal, InboundRefusal, OutboundRefusal};
use crate::pinhole::{Depth, PackedAddr, Pinhole, Record, Table};
use crate::rules::{Depths, Rules};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A NAT with one external address and any number of inside hosts, or an open host at that address.
///
/// Calls take time in proportion to the pinholes kept. Time is milliseconds from any origin; where it goes back,
/// nothing ages.
#[derive(Clone, Debug)]
pub struct Nat {
    rules: Arc<Rules>,
    external: IpAddr,
    /// Where the search for the next port begins, or how many searches there were.
    drawn: u32,
    table: Table,
}

impl Nat {
    /// A NAT without mappings; the family of its external address is the family of all it translates.
    #[must_use]
    pub fn new(rules: Arc<Rules>, external: IpAddr) -> Self {
        Self { rules, external, drawn: 0, table: Table::Empty }
    }

    /// The external address.
    #[must_use]
    pub fn external(&self) -> IpAddr {
        self.external
    }

    /// What it was made with.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Forgets every mapping, as a device that was switched off does; ports are drawn on as before.
    pub fn forget(&mut self) {
        self.table = Table::Empty;
    }

    /// Translates a datagram from `inside` to `remote`: the external source it leaves with.
    ///
    /// Makes or refreshes the mapping, and admits the remote to it.
    pub fn outbound(
        &mut self,
        inside: SocketAddr,
        remote: SocketAddr,
        now_ms: u64,
    ) -> Result<SocketAddr, OutboundRefusal> {
        if remote.ip() == self.external && self.rules.depths().is_some() {
            return Err(OutboundRefusal::OwnAddress);
        }
        self.translate(inside, remote, now_ms)
    }

    /// Translates a datagram from `remote` to `external`: the inside host it is for.
    ///
    /// Refreshes what admitted it only if the settings say so.
    pub fn inbound(
        &mut self,
        remote: SocketAddr,
        external: SocketAddr,
        now_ms: u64,
    ) -> Result<SocketAddr, InboundRefusal> {
        if external.ip() != self.external {
            return Err(InboundRefusal::NotOurs);
        }
        if remote.is_ipv4() != self.external.is_ipv4() {
            return Err(InboundRefusal::Family);
        }
        let Some(depths) = self.rules.depths() else { return Ok(external) };
        let packed = PackedAddr::of(remote);
        let mut refusal = InboundRefusal::NoMapping;
        for record in self.table.records_mut() {
            if record.external_port != external.port() {
                continue;
            }
            match admission(record, packed, depths, &self.rules, now_ms) {
                Err(reason) => refusal = refusal.max(reason),
                Ok(()) => {
                    if self.rules.settings().refresh_inbound {
                        record.refresh(now_ms);
                    }
                    return Ok(record.inside.unpack(self.external));
                }
            }
        }
        Err(refusal)
    }

    /// Turns a datagram from `inside` to the NAT's own address back to another inside host (RFC 4787 REQ-9).
    ///
    /// The sender is mapped as towards any remote, and the receiver sees the sender's external transport address.
    pub fn hairpin(
        &mut self,
        inside: SocketAddr,
        destination: SocketAddr,
        now_ms: u64,
    ) -> Result<Hairpin, HairpinRefusal> {
        if !self.rules.settings().hairpinning || self.rules.depths().is_none() {
            return Err(HairpinRefusal::Off);
        }
        if destination.ip() != self.external {
            return Err(HairpinRefusal::NotOwnAddress);
        }
        let source = self.translate(inside, destination, now_ms)?;
        let receiver = self.inbound(source, destination, now_ms)?;
        Ok(Hairpin { source, receiver })
    }

    /// All that is open now, in the order it was opened: one for each mapping and remote remembered.
    pub fn pinholes(&self, now_ms: u64) -> impl Iterator<Item = Pinhole> {
        let timeout_ms = self.rules.settings().mapping_timeout_ms;
        let alive = self.table.records().iter().filter(move |record| self.lives(record, now_ms));
        self.rules.depths().into_iter().flat_map(move |depths| {
            let alive = alive.clone();
            alive.map(move |record| record.pinhole(self.external, depths.kept(), timeout_ms))
        })
    }

    fn translate(
        &mut self,
        inside: SocketAddr,
        remote: SocketAddr,
        now_ms: u64,
    ) -> Result<SocketAddr, OutboundRefusal> {
        let ipv4 = self.external.is_ipv4();
        if inside.is_ipv4() != ipv4 || remote.is_ipv4() != ipv4 {
            return Err(OutboundRefusal::Family);
        }
        let Some(depths) = self.rules.depths() else {
            return if inside.ip() == self.external { Ok(inside) } else { Err(OutboundRefusal::NotInside) };
        };
        let (inside, remote) = (PackedAddr::of(inside), PackedAddr::of(remote).cut(depths.kept()));
        let port = match self.refresh(inside, remote, now_ms) {
            Some(port) => port,
            None => self.open(inside, remote, depths, now_ms)?,
        };
        Ok(SocketAddr::new(self.external, port))
    }

    /// The external port of a pinhole that exists already.
    fn refresh(&mut self, inside: PackedAddr, remote: PackedAddr, now_ms: u64) -> Option<u16> {
        let rules = &self.rules;
        let record = self.table.records_mut().iter_mut().find(|record| {
            record.remote == remote && record.inside == inside && rules.mapping_lives(record.idle_ms(now_ms))
        })?;
        record.refresh(now_ms);
        Some(record.external_port)
    }

    /// Keeps a new pinhole, at the port of the mapping it belongs to or at a fresh one.
    fn open(
        &mut self,
        inside: PackedAddr,
        remote: PackedAddr,
        depths: Depths,
        now_ms: u64,
    ) -> Result<u16, OutboundRefusal> {
        let rules = &self.rules;
        self.table.retain(|record| rules.mapping_lives(record.idle_ms(now_ms)));
        if self.table.records().len() >= self.rules.settings().pinhole_limit {
            return Err(OutboundRefusal::TableFull);
        }
        let external_port = match self.mapped_port(inside, remote, depths) {
            Some(port) => port,
            None => self.draw_port(inside, remote, depths).ok_or(OutboundRefusal::NoPort)?,
        };
        self.table.push(Record { inside, remote, external_port, refreshed_ms: now_ms });
        Ok(external_port)
    }

    /// The port of the inside host's mapping towards this remote, unless another inside host occupies the remote there.
    fn mapped_port(&self, inside: PackedAddr, remote: PackedAddr, depths: Depths) -> Option<u16> {
        let mut own = self
            .table
            .records()
            .iter()
            .filter(|record| record.inside == inside && record.remote.equals(remote, depths.mapping));
        own.find(|record| !self.is_occupied(record.external_port, inside, remote, depths))
            .map(|record| record.external_port)
    }

    fn draw_port(&mut self, inside: PackedAddr, remote: PackedAddr, depths: Depths) -> Option<u16> {
        let settings = self.rules.settings();
        let own_port = inside.port();
        if settings.preserve_port
            && settings.ports.contains(own_port)
            && self.is_free(own_port, inside, remote, depths)
        {
            return Some(own_port);
        }
        let start = settings.port_choice.start(self.external, self.drawn);
        let mut ports = settings.ports.ports_from(start).zip(1..);
        let (port, tries) = ports.find(|(port, _)| self.is_free(*port, inside, remote, depths))?;
        self.drawn = settings.port_choice.next(self.drawn, tries);
        Some(port)
    }

    /// Whether a new mapping may take this port. Two mappings of one inside host never share a port, or they would be
    /// one; of two inside hosts, only where ports are overloaded and the remote tells them apart.
    fn is_free(&self, port: u16, inside: PackedAddr, remote: PackedAddr, depths: Depths) -> bool {
        let overload = self.rules.settings().overload_ports;
        let mut there = self.table.records().iter().filter(|record| record.external_port == port);
        there.all(|record| {
            overload && record.inside != inside && !record.remote.equals(remote, depths.filtering)
        })
    }

    /// Whether an answer of the remote to this port would be for another inside host.
    fn is_occupied(&self, port: u16, inside: PackedAddr, remote: PackedAddr, depths: Depths) -> bool {
        self.table.records().iter().any(|record| {
            record.external_port == port
                && record.inside != inside
                && record.remote.equals(remote, depths.filtering)
        })
    }

    fn lives(&self, record: &Record, now_ms: u64) -> bool {
        self.rules.mapping_lives(record.idle_ms(now_ms))
    }
}

/// A datagram that was turned back inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hairpin {
    /// The sender as the receiver sees it: its external transport address.
    pub source: SocketAddr,
    /// The inside host that gets it.
    pub receiver: SocketAddr,
}

/// Whether this record, whose port was called, lets the remote in.
fn admission(
    record: &Record,
    remote: PackedAddr,
    depths: Depths,
    rules: &Rules,
    now_ms: u64,
) -> Result<(), InboundRefusal> {
    let idle_ms = record.idle_ms(now_ms);
    if !rules.mapping_lives(idle_ms) {
        return Err(InboundRefusal::Expired);
    }
    // EIF remembers nobody, so there is nothing that its filter could forget.
    let remembers = depths.filtering == Depth::Nothing || rules.filter_lives(idle_ms);
    if remembers && record.remote.equals(remote, depths.filtering) {
        Ok(())
    } else {
        Err(InboundRefusal::Filtered)
    }
}

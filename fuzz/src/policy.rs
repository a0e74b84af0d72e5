//! Fuzzes the policy: any address and port under any blocks, against the rules written out with masks.
//!
//! ```text
//! input   address (16) | port (2) | switches | blocks, each: list | prefix | address (16)
//! ```
//!
//! * Never permitted: refused ports, the never class, own addresses, broadcasts, what is denied.
//! * Permitted: everything else, unless it is special or of this host, and no block opens it.
//! * Every block is printed as it is read; a block with host bits or too long a prefix is none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::{Block, BlockSet, Policy, TransportAddress};

fuzz_target!(|input: &[u8]| {
    let Some((address, rest)) = input.split_first_chunk::<16>() else { return };
    let Some((port, rest)) = rest.split_first_chunk::<2>() else { return };
    let Some((switches, rest)) = rest.split_first() else { return };
    let to = TransportAddress { address: u128::from_be_bytes(*address), port: u16::from_be_bytes(*port) };
    let mut lists = [Vec::new(), Vec::new()];
    for chunk in rest.as_chunks::<18>().0.iter().take(64) {
        let (list, block) = (usize::from(chunk[0] & 1), block_of(chunk));
        lists[list].extend(block);
    }
    let [allowed, denied] = &lists;
    let own = [TransportAddress { port: to.port ^ u16::from(switches & 1), ..to }];
    let broadcast = Ipv4Addr::from_bits(to.address as u32 ^ u32::from(switches >> 1 & 1));
    let host = Block::around(to.ip(), switches >> 4 << 3);
    let policy = Policy {
        host: BlockSet::new(host.as_slice()),
        own: if switches & 4 != 0 { own.to_vec() } else { Vec::new() },
        broadcasts: if switches & 8 != 0 { vec![broadcast] } else { Vec::new() },
        allow_destination: BlockSet::new(&blocks(allowed)),
        deny_destination: BlockSet::new(&blocks(denied)),
        ..Policy::default()
    };
    let within = |list: &[Range]| list.iter().any(|it| it.v4 == is_v4(to.address) && it.holds(to.address));
    let own = policy.own.contains(&to);
    let broadcast = is_v4(to.address) && policy.broadcasts.iter().any(|it| it.to_bits() == to.address as u32);
    let of_host = host.is_some_and(|block| block.contains(to.ip()));
    let closed = (is_special(to.address) || of_host) && !within(allowed);
    let refused = is_refused(to.port) || is_never(to.address) || own || broadcast || closed || within(denied);
    assert_eq!(policy.permits(to), !refused, "{}", to.to_socket());
});

/// A block as its ends, in the header's form of addresses.
struct Range {
    block: Block,
    v4: bool,
    first: u128,
    last: u128,
}

impl Range {
    fn holds(&self, address: u128) -> bool {
        self.first <= address && address <= self.last
    }
}

fn blocks(ranges: &[Range]) -> Vec<Block> {
    ranges.iter().map(|range| range.block).collect()
}

/// The block of a chunk, host bits cut off unless a switch leaves them; `None` when it rightly is none.
fn block_of([list, prefix, address @ ..]: &[u8; 18]) -> Option<Range> {
    let raw = u128::from_be_bytes(*address);
    let v4 = is_v4(raw);
    let width = if v4 { 32 } else { 128 };
    let hosts = width - u32::from(*prefix).min(width);
    let mask = 1u128.checked_shl(hosts).map_or(u128::MAX, |size| size - 1);
    let first = if list & 2 != 0 { raw } else { raw & !mask };
    // Cutting off may have made IPv4's form of a longer address.
    let network = match v4 {
        true => IpAddr::V4(Ipv4Addr::from_bits(first as u32)),
        false => IpAddr::V6(Ipv6Addr::from_bits(first)),
    };
    let right = u32::from(*prefix) <= width && first & mask == 0;
    let Ok(block) = Block::new(network, *prefix) else {
        assert!(!right || !v4 && is_v4(first), "{network}/{prefix} was refused");
        return None;
    };
    assert!(right, "{block} was taken");
    assert_eq!(block.to_string().parse(), Ok(block));
    Some(Range { block, v4, first, last: first | mask })
}

fn is_v4(address: u128) -> bool {
    address >> 32 == 0xffff
}

fn is_refused(port: u16) -> bool {
    port <= 1023 || [1900, 3702, 5353, 5683, 11211].contains(&port)
}

fn is_never(address: u128) -> bool {
    if is_v4(address) {
        let v4 = address & 0xffff_ffff;
        return v4 >> 28 == 0xe || [0xffff_ffff, 0xa9fe_a9fe, 0xa83f_8110].contains(&v4);
    }
    let isatap = [0x5efe, 0x0200_5efe].contains(&(address >> 32 & 0xffff_ffff));
    let metadata = 0xfd00_0ec2_u128 << 96 | 0x254;
    isatap
        || address == metadata
        || address >> 120 == 0xff
        || address >> 32 == 0 && address != 1
        || address >> 32 == 0xffff_0000
        || address >> 32 == 0x64_ff9b << 64
        || address >> 80 == 0x64_ff9b_0001
        || address >> 112 == 0x2002
        || address >> 96 == 0x2001_0000
}

fn is_special(address: u128) -> bool {
    if !is_v4(address) {
        return address >> 125 != 1
            || address >> 105 == 0x2001 << 7
            || address >> 96 == 0x2001_0db8
            || address >> 108 == 0x3_fff0;
    }
    let v4 = address & 0xffff_ffff;
    let eighths = [0, 10, 127].contains(&(v4 >> 24));
    let sixteenths = [0xa9fe, 0xc0a8].contains(&(v4 >> 16));
    let twentyfourths = [0xc0_0000, 0xc0_0002, 0xc0_5863, 0xc6_3364, 0xcb_0071].contains(&(v4 >> 8));
    let others = v4 >> 22 == 0x6440 >> 6 || v4 >> 20 == 0xac1 || v4 >> 17 == 0xc612 >> 1 || v4 >> 28 == 0xf;
    eighths || sixteenths || twentyfourths || others
}

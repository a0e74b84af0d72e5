//! Blocks of addresses in CIDR form, and sets of them.
//!
//! * A block belongs to one family: `::/0` never holds an IPv4 address, however that is written.
//! * IPv4 is written as IPv4: a block inside `::ffff:0:0/96` would hold nothing, so it is refused.
//! * A set holds merged, sorted ranges: a look-up is a binary search, whatever number of blocks was given.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A CIDR block, e.g. `10.0.0.0/8` or `2001:db8::/32`; a bare address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    network: IpAddr,
    prefix: u8,
}

impl Block {
    /// The block of `prefix` leading bits at `network`.
    ///
    /// # Errors
    /// A prefix longer than the address, address bits set behind the prefix, or IPv4 written as IPv6.
    pub fn new(network: IpAddr, prefix: u8) -> Result<Self, BlockError> {
        let most = if network.is_ipv4() { 32 } else { 128 };
        if prefix > most {
            return Err(BlockError::Prefix { prefix, most });
        }
        if let IpAddr::V6(ip) = network
            && let Some(ip) = ip.to_ipv4_mapped()
            && let Some(prefix) = prefix.checked_sub(MAPPED_PREFIX_BITS)
        {
            return Err(BlockError::Mapped { ip, prefix });
        }
        let start = Self { network, prefix }.first();
        if start == network {
            Ok(Self { network, prefix })
        } else {
            Err(BlockError::HostBits { start, prefix })
        }
    }

    /// The block of `prefix` leading bits that holds `address`; `None` if that is none.
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        let start = Self { network: address, prefix }.first();
        Self::new(start, prefix).ok()
    }

    /// The lowest address of the block.
    pub fn first(&self) -> IpAddr {
        match self.network {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !self.host_mask_v4()).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !self.host_mask_v6()).into(),
        }
    }

    /// The highest address of the block.
    pub fn last(&self) -> IpAddr {
        match self.network {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() | self.host_mask_v4()).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() | self.host_mask_v6()).into(),
        }
    }

    /// The number of leading bits that are fixed.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the block holds this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first() <= address && address <= self.last() && address.is_ipv4() == self.network.is_ipv4()
    }

    fn host_mask_v4(&self) -> u32 {
        u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0)
    }

    fn host_mask_v6(&self) -> u128 {
        u128::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0)
    }
}

impl FromStr for Block {
    type Err = BlockError;

    fn from_str(text: &str) -> Result<Self, BlockError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| BlockError::Syntax)?;
        let prefix = match prefix {
            Some(digits) => digits.parse().map_err(|_| BlockError::Syntax)?,
            None if network.is_ipv4() => 32,
            None => 128,
        };
        Self::new(network, prefix)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// Blocks of both families, ready for look-ups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl BlockSet {
    /// The union of `blocks`.
    pub fn new(blocks: &[Block]) -> Self {
        let mut set = Self::default();
        for block in blocks {
            match (block.first(), block.last()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => set.v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => set.v6.push((first.to_bits(), last.to_bits())),
                _ => {} // A block's ends are of one family.
            }
        }
        merge(&mut set.v4);
        merge(&mut set.v6);
        set
    }

    /// Whether one of the blocks holds this address.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(ip) => holds(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => holds(&self.v6, ip.to_bits()),
        }
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Why a text is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// Not an address, optionally with `/` and a number behind.
    Syntax,
    /// More bits than the address has.
    Prefix {
        /// The bits asked for.
        prefix: u8,
        /// The bits that the address has.
        most: u8,
    },
    /// Address bits set behind the prefix.
    HostBits {
        /// The address with which the block of that prefix starts.
        start: IpAddr,
        /// The prefix.
        prefix: u8,
    },
    /// An IPv4 block written as an IPv6 one, `::ffff:a.b.c.d/96` or longer.
    Mapped {
        /// The IPv4 address.
        ip: Ipv4Addr,
        /// The prefix that IPv4 would write.
        prefix: u8,
    },
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("not a CIDR block such as 10.0.0.0/8 or 2001:db8::/32"),
            Self::Prefix { prefix, most } => {
                write!(f, "a prefix of {prefix} bits is longer than the address, which has {most}")
            }
            Self::HostBits { start, prefix } => {
                write!(f, "address bits are set behind the prefix; the block is written {start}/{prefix}")
            }
            Self::Mapped { ip, prefix } => {
                write!(f, "an IPv4 block is written as one: {ip}/{prefix}")
            }
        }
    }
}

impl core::error::Error for BlockError {}

fn merge<N: Copy + Ord>(ranges: &mut Vec<(N, N)>) {
    ranges.sort_unstable();
    // CIDR blocks nest or are apart, so after sorting a range is either inside the one kept last or beyond it.
    ranges.dedup_by(|next, kept| next.1 <= kept.1);
}

#[inline]
fn holds<N: Copy + Ord>(ranges: &[(N, N)], address: N) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

/// The fixed bits of `::ffff:0:0/96`, behind which an IPv4 address stands.
const MAPPED_PREFIX_BITS: u8 = 96;

//! RFC 4787 behaviours, routes between them, and a NAT as a pure state machine.
//!
//! * Pure: time is an argument, nothing is read from the machine it runs on, nothing is sent.
//! * Knows transport addresses and nothing of any protocol above UDP.
//! * Three questions, three places: what is this NAT ([`Behaviour`], [`Mix`]), may this pair talk directly
//!   ([`route()`], [`answer`], [`after_punch`], [`reflected_share`]), what happens to this datagram ([`Nat`]).
//!
//! ```
//! use std::sync::Arc;
//! let rules = Arc::new(nat::Rules::new(nat::Settings::of("eim/apdf".parse()?))?);
//! let mut gateway = nat::Nat::new(rules, "192.0.2.1".parse()?);
//! let inside = "10.0.0.5:4000".parse()?;
//! let reflector = "198.51.100.7:3478".parse()?;
//!
//! let contact = gateway.outbound(inside, reflector, 0)?;
//! assert_eq!(gateway.inbound(reflector, contact, 20)?, inside);
//!
//! let stranger = "203.0.113.9:5000".parse()?;
//! assert_eq!(gateway.inbound(stranger, contact, 30), Err(nat::InboundRefusal::Filtered));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod behaviour;
mod error;
mod machine;
mod mix;
mod notation;
mod pinhole;
mod port;
mod route;
mod rules;

pub use behaviour::{Behaviour, Filtering, Mapping};
pub use error::{Error, HairpinRefusal, InboundRefusal, OutboundRefusal};
pub use machine::{Hairpin, Nat};
pub use mix::{Assignment, Mix};
pub use pinhole::{Pinhole, Towards};
pub use port::{PortChoice, PortPool};
pub use route::{ReflectedShare, Route, after_punch, answer, reflected_share, route};
pub use rules::{Rules, Settings};

//! The load phase below the sockets, by XDP.

pub mod flows;
pub mod plan;
pub mod ready;
pub mod refusal;
pub mod run;
pub mod tally;
pub mod way;

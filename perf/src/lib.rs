//! Quick runs, reports and plans.
//!
//! * What is measured are programs, which `lab` starts and reads; nothing of them is linked.
//! * What decides (the search, the capacity, the report) is pure; what starts programs and reads the kernel is thin.
//! * A figure comes only from a run that was valid, and its caveats travel with it.

#![forbid(unsafe_code)]

pub mod allocation;
pub mod awake;
pub mod axis;
pub mod bare;
pub mod capacity;
pub mod ceiling;
pub mod charts;
pub mod comparison;
pub mod contest;
pub mod cores;
pub mod coturn;
pub mod environment;
pub mod figures;
pub mod flow;
pub mod goal;
pub mod histogram;
pub mod lacks;
pub mod pace;
pub mod page;
pub mod peers;
pub mod peers_page;
pub mod peers_picture;
pub mod peers_report;
pub mod peers_table;
pub mod plot;
pub mod quick;
pub mod report;
pub mod rig;
pub mod round;
pub mod row;
#[cfg(test)]
mod sample;
pub mod search;
pub mod span;
pub mod spread;
pub mod stage;
pub mod subject;
pub mod tables;
pub mod terminal;
pub mod trial;

//! Quick runs, reports and plans.
//!
//! * What is measured are programs, which `lab` starts and reads; nothing of them is linked.
//! * What decides (the search, the capacity, the report) is pure; what starts programs and reads the kernel is thin.
//! * A figure comes only from a run that was valid, and its caveats travel with it.

#![forbid(unsafe_code)]

pub mod allocation;
pub mod attempt;
pub mod audit;
pub mod awake;
pub mod axis;
pub mod bare;
pub mod capacity;
pub mod ceiling;
pub mod cell;
pub mod charts;
pub mod comparison;
pub mod contest;
pub mod contrast;
pub mod cores;
pub mod coturn;
pub mod environment;
pub mod figures;
pub mod finding;
pub mod flow;
pub mod goal;
pub mod header;
pub mod histogram;
pub mod lacks;
pub mod ledger;
pub mod matrix;
pub mod model;
pub mod pace;
pub mod page;
pub mod peers;
pub mod peers_page;
pub mod peers_picture;
pub mod peers_report;
pub mod peers_table;
pub mod percentile_chart;
pub mod placement;
pub mod plan;
pub mod plan_args;
pub mod plot;
pub mod population;
pub mod quick;
pub mod reading;
pub mod report;
pub mod rig;
pub mod round;
pub mod row;
#[cfg(test)]
mod sample;
pub mod site;
pub mod span;
pub mod spread;
pub mod stage;
pub mod subject;
pub mod survey;
pub mod survey_charts;
pub mod survey_page;
pub mod survey_report;
pub mod survey_tables;
pub mod sweep;
pub mod sweep_args;
pub mod tables;
pub mod terminal;
pub mod trial;
pub mod usl;

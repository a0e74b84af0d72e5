//! The kit that every report is drawn with: axes, plots, tables and the page around them.
//!
//! * One look, light or dark; nothing is fetched and nothing runs.

pub mod axis;
pub mod bars;
pub mod files;
pub mod page;
pub mod percentiles;
pub mod plot;
pub mod tables;

//! What runs: programs on their processors, what lies between them, and one run of the generator with what it cost.
//!
//! * Nothing here knows why a run was wanted, nor what follows from it.

pub mod allocation;
pub mod attempt;
pub mod awake;
pub mod bare;
pub mod cell;
pub mod cores;
pub mod coturn;
pub mod environment;
pub mod flow;
pub mod header;
pub mod lacks;
pub mod matrix;
pub mod pace;
pub mod placement;
pub mod run;
pub mod site;
pub mod span;
pub mod stage;
pub mod subject;

//! What is seen of a run while it lasts, and how it is shown.

pub mod events;
pub mod glances;
pub mod measured;
pub mod progress;
pub mod screen;
pub mod slices;
pub mod state;
pub mod tally;
pub mod view;

//! What the load phase of a run brought, whichever engine carried it.

use crate::load::shape::phase::Phase;
use crate::load::watch::events::Watched;
use crate::load::watch::tally::Tally;
use results::run::Series;

/// What a load phase brought, whichever engine carried it.
#[derive(Debug)]
pub struct Measured {
    /// All workers together.
    pub tally: Tally,
    /// The measured phase in slices.
    pub series: Series,
    /// Its times.
    pub phase: Phase,
    /// What was seen meanwhile.
    pub watched: Watched,
}

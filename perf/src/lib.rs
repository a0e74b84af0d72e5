//! Quick runs, reports and plans.

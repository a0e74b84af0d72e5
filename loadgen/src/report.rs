//! From what was counted to the report: its figures, whether to believe them, and the table.

pub mod output;
pub mod summary;
pub mod table;
pub mod validity;

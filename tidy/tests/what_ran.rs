//! The last line of `cargo test --workspace`: how many tests were ignored, and what would let them run.
//!
//! * No test: it prints what the suites of this run have recorded. With SLOWEST=10 set, the ten slowest tests come first.
//! * Cargo runs packages in the order of their names, and targets of a package likewise, so this one is the last; crates
//!   have no doctests, which would come later.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

fn main() {
    // A test runner that asks for a list of tests (cargo-nextest) gets an empty one.
    if !std::env::args().any(|argument| argument == "--list") {
        let records = harness::take_records();
        let count = std::env::var("SLOWEST").ok().and_then(|count| count.parse().ok());
        if let Some(count) = count {
            println!("\nThe slowest tests:\n{}", records.slowest(count));
        }
        println!("\n{}\n", records.summary());
    }
}

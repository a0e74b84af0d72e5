//! The example in the documentation of the crate, run here, and compared with what is shown there.

/// What is between these two lines in this file is what the documentation shows.
const MARKS: [&str; 2] = ["    // From here", "    // To here"];

#[test]
fn the_example_of_the_documentation_works() -> Result<(), Box<dyn std::error::Error>> {
    // From here
    use std::sync::Arc;
    let rules = Arc::new(nat::Rules::new(nat::Settings::of("eim/apdf".parse()?))?);
    let mut gateway = nat::Nat::new(rules, "192.0.2.1".parse()?);
    let inside = "10.0.0.5:4000".parse()?;
    let reflector = "198.51.100.7:3478".parse()?;

    let contact = gateway.outbound(inside, reflector, 0)?;
    assert_eq!(gateway.inbound(reflector, contact, 20)?, inside);

    let stranger = "203.0.113.9:5000".parse()?;
    assert_eq!(gateway.inbound(stranger, contact, 30), Err(nat::InboundRefusal::Filtered));
    // To here
    Ok(())
}

#[test]
fn the_documentation_shows_the_example_that_works() {
    let documentation: Vec<&str> = include_str!("../../src/lib.rs")
        .lines()
        .skip_while(|line| *line != "//! ```")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| line.trim_start_matches("//!").trim_start())
        .filter(|line| !line.starts_with("# "))
        .collect();
    let works: Vec<&str> = include_str!("documentation.rs")
        .lines()
        .skip_while(|line| *line != MARKS[0])
        .skip(1)
        .take_while(|line| *line != MARKS[1])
        .map(str::trim_start)
        .collect();
    assert!(!works.is_empty());
    assert_eq!(documentation, works);
}

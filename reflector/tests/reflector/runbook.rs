//! The runbook has a row for everything that the metrics page shows, and no row for what it does not.

use crate::rig::daemon::Reflector;
use std::collections::BTreeSet;

pub(crate) fn every_metric_reason_and_error_has_its_row() {
    let reflector = Reflector::start(&[]);
    let page = reflector.get("/metrics").1;
    let runbook =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbook.md")).unwrap();
    // What follows is the access server's, and its own test's.
    let (ours, _) = runbook.split_once("\n## The access server\n").unwrap();
    let rows: BTreeSet<&str> = ours
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let shown: BTreeSet<&str> =
        samples(&page).chain(labels(&page, "reason=\"")).chain(labels(&page, "error=\"")).collect();
    let missing: Vec<_> = shown.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&shown).collect();
    assert!(shown.len() > 40, "{shown:?}");
    assert!(missing.is_empty(), "docs/runbook.md lacks a row for {missing:?}");
    assert!(stale.is_empty(), "docs/runbook.md has a row for {stale:?}, which nothing exports");
}

/// Names of samples; a histogram's three are one.
fn samples(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).map(
        |name| {
            let histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            histogram.unwrap_or(name)
        },
    )
}

fn labels<'a>(page: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    page.lines().filter_map(move |line| line.split_once(key)?.1.split('"').next())
}

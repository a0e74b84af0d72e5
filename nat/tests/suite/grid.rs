//! The published grid of 10 x 10 behaviours, read once, and the three route functions against all of it.
//!
//! * Every ordered pair occurs exactly once.

use nat::{Behaviour, Route, after_punch, answer, route};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What the grid says of one ordered pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) first: Route,
    pub(crate) answer: Route,
    pub(crate) after_punch: (Route, Route),
}

/// Every ordered pair with what the grid says of it.
pub(crate) fn rows() -> Vec<(Behaviour, Behaviour, Row)> {
    let file: File = serde_json::from_str(include_str!("../nat-grid.json")).unwrap();
    let row = |text: &RowText| {
        let routes = Row {
            first: text.first.into(),
            answer: text.answer.into(),
            after_punch: (text.after_punch_a_to_b.into(), text.after_punch_b_to_a.into()),
        };
        (text.a.parse().unwrap(), text.b.parse().unwrap(), routes)
    };
    file.grid.iter().map(row).collect()
}

#[test]
fn routes_equal_the_whole_grid() {
    let rows = rows();
    for (a, b, expected) in &rows {
        let found = Row { first: route(*a, *b), answer: answer(*a, *b), after_punch: after_punch(*a, *b) };
        assert_eq!(found, *expected, "{a} to {b}");
    }
    let pairs: BTreeSet<_> = rows.iter().map(|(a, b, _)| (*a, *b)).collect();
    assert_eq!((rows.len(), pairs.len()), (100, 100));
}

#[test]
fn after_punch_is_the_same_pair_seen_from_either_side() {
    for (a, b, _) in rows() {
        let (there, back) = after_punch(a, b);
        assert_eq!(after_punch(b, a), (back, there), "{a} and {b}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    grid: Vec<RowText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowText {
    a: String,
    b: String,
    first: RouteText,
    answer: RouteText,
    after_punch_a_to_b: RouteText,
    after_punch_b_to_a: RouteText,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RouteText {
    Direct,
    Reflect,
}

impl From<RouteText> for Route {
    fn from(text: RouteText) -> Self {
        match text {
            RouteText::Direct => Self::Direct,
            RouteText::Reflect => Self::Reflect,
        }
    }
}

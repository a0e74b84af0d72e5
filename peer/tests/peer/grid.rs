//! Every pair of NAT behaviours: first message, answer, and paths after punching are what the grid says.

use crate::world::World;
use peer::Path;
use serde::Deserialize;

#[derive(Deserialize)]
struct Grid {
    grid: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    a: String,
    b: String,
    first: String,
    answer: String,
    after_punch_a_to_b: String,
    after_punch_b_to_a: String,
}

fn word(direct: bool) -> &'static str {
    if direct { "direct" } else { "reflect" }
}

#[test]
fn first_message_and_answer_take_the_ways_of_the_grid() {
    let rows = rows();
    for row in &rows {
        let mut world = World::pair(&row.a, &row.b);
        // b is there already; a comes and tells it.
        world.start(1);
        world.run(1_000_000);
        world.start(0);
        world.run(1_000_000);
        let hop = |from: usize, to: usize| {
            world
                .trace
                .iter()
                .find(|hop| hop.from == Some(from) && hop.to == to)
                .unwrap_or_else(|| panic!("{from} to {to}: {} {}", row.a, row.b))
                .clone()
        };
        assert_eq!(word(hop(0, 1).via.is_none()), row.first, "first of {} to {}", row.a, row.b);
        assert_eq!(word(hop(1, 0).via.is_none()), row.answer, "answer of {} to {}", row.b, row.a);
        assert!(world.sees(0, 1) && world.sees(1, 0));
    }
    assert_eq!(rows.len(), 100);
}

#[test]
fn conversations_end_up_on_the_paths_of_the_grid() {
    for row in rows() {
        let mut world = World::pair(&row.a, &row.b);
        world.start_all();
        for number in 0..50_u8 {
            world.say(0, 1, &[number]);
            world.say(1, 0, &[number]);
            world.run(100_000);
        }
        let direct = |from, to| matches!(world.path(from, to), Path::Direct(_));
        assert_eq!(word(direct(0, 1)), row.after_punch_a_to_b, "{} to {}", row.a, row.b);
        assert_eq!(word(direct(1, 0)), row.after_punch_b_to_a, "{} to {}, back", row.a, row.b);
        // Nothing was lost on the way to where it is, and the last datagrams took the path that is claimed.
        for (from, to) in [(0, 1), (1, 0)] {
            let mut received = world.received(to);
            received.sort();
            assert_eq!(received, (0..50).map(|it| vec![it]).collect::<Vec<_>>(), "{} {}", row.a, row.b);
            let last =
                world.trace.iter().rev().find(|hop| hop.from == Some(from) && hop.bytes[1] == 3).unwrap();
            assert_eq!(last.via.is_none(), direct(from, to), "{} {}", row.a, row.b);
        }
    }
}

fn rows() -> Vec<Row> {
    serde_json::from_str::<Grid>(include_str!("../../../nat/tests/nat-grid.json")).unwrap().grid
}

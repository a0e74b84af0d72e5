//! Busy time of a core per datagram, one bar each, split into user, system and soft interrupt.

use crate::draw::axis::{Axis, Scale};
use crate::draw::plot::{Bar, Figure, Ink, Mark, Series};
use crate::figures::{compact, time};

/// A bar: what it is of, and its parts from the bottom up, ns.
#[derive(Clone, Debug)]
pub struct CoreTime {
    /// What stands below it.
    pub name: String,
    /// In programs, in the kernel for programs, and in soft interrupts, ns.
    pub split_ns: [f64; 3],
}

/// The chart; `None` without a bar. `whose` core it was, and what there is a bar of, such as "relay".
pub fn figure(title: &str, whose: &str, each: &str, bars: &[CoreTime]) -> Option<Figure> {
    bars.first()?;
    let (mut drawn, mut marks, mut right) = (Vec::new(), Vec::new(), 0.0);
    for CoreTime { name, split_ns } in bars {
        marks.push((right + 0.5, name.clone()));
        let mut bottom = 0.0;
        for (part, number) in split_ns.iter().zip(0..) {
            let y = (bottom, bottom + part);
            drawn.push(Bar { x: (right + 0.2, right + 0.8), y, ink: Ink::Series(number) });
            bottom += part;
        }
        right += 1.0;
    }
    let tops = bars.iter().map(|bar| bar.split_ns.iter().sum());
    let legend = [("soft interrupt", 2), ("system", 1), ("user", 0)].map(|(name, number)| Series {
        name: name.to_owned(),
        ink: Ink::Series(number),
        mark: Mark::Bar,
        points: Vec::new(),
        doubtful: Vec::new(),
    });
    Some(Figure {
        title: title.to_owned(),
        description: format!(
            "Busy time of {whose} per datagram, split into user, system and soft interrupt, one bar each {each}."
        ),
        x: Axis {
            label: each.to_owned(),
            scale: Scale::Linear,
            range: (0.0, right),
            format: compact,
            marks: Some(marks),
        },
        y: Axis::linear("per datagram", tops, |ns| if ns == 0.0 { "0".to_owned() } else { time(ns) }),
        bars: drawn,
        series: legend.to_vec(),
    })
}

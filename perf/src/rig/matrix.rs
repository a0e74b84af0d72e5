//! What a sweep varies, and the cells that follow.
//!
//! * By default a star for each engine: its first values together, then each further value by itself; so what an axis
//!   does is seen with one run per value. Crossed, every combination is measured.
//! * The first cell of each engine is its base; every other is compared with it.
//! * Cells come in one order, always the same, without repeats.

use crate::rig::cell::{Axis, Cell, Engine};
use serde::{Deserialize, Serialize};

/// The values of each axis; the first ones make the base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// Engines.
    pub engines: Vec<Engine>,
    /// Worker threads.
    pub workers: Vec<u32>,
    /// Bytes behind the header.
    pub payloads_bytes: Vec<u32>,
    /// Endpoints.
    pub endpoints: Vec<u32>,
    /// Datagrams at once.
    pub trains: Vec<u32>,
    /// Percent of wrong tags.
    pub hostile_percent: Vec<u32>,
    /// Whether every combination is measured.
    pub is_crossed: bool,
}

impl Matrix {
    /// The cells; none without a value on some axis.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells: Vec<Cell> = Vec::new();
        for engine in &self.engines {
            let Some(base) = self.base(*engine) else { continue };
            let own = if self.is_crossed { self.crossed(base) } else { self.star(base) };
            for cell in own {
                if !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
        }
        cells
    }

    /// The first values together, through an engine.
    pub fn base(&self, engine: Engine) -> Option<Cell> {
        Some(Cell {
            engine,
            workers: *self.workers.first()?,
            payload_bytes: *self.payloads_bytes.first()?,
            endpoints: *self.endpoints.first()?,
            train: *self.trains.first()?,
            hostile_percent: *self.hostile_percent.first()?,
        })
    }

    /// The values of an axis.
    pub fn values(&self, axis: Axis) -> &[u32] {
        match axis {
            Axis::Workers => &self.workers,
            Axis::Payload => &self.payloads_bytes,
            Axis::Endpoints => &self.endpoints,
            Axis::Train => &self.trains,
            Axis::Hostile => &self.hostile_percent,
        }
    }

    fn star(&self, base: Cell) -> Vec<Cell> {
        let further = |axis: Axis| self.values(axis).iter().skip(1).map(move |value| base.with(axis, *value));
        std::iter::once(base).chain(Axis::ALL.into_iter().flat_map(further)).collect()
    }

    fn crossed(&self, base: Cell) -> Vec<Cell> {
        Axis::ALL.into_iter().fold(vec![base], |cells, axis| {
            let every = |cell: &Cell| {
                let cell = *cell;
                self.values(axis).iter().map(move |value| cell.with(axis, *value))
            };
            cells.iter().flat_map(every).collect()
        })
    }

    /// What is wrong with it, and what would be right; `None` if it can be measured.
    pub fn fault(&self) -> Option<String> {
        let ranges = [
            (Axis::Workers, "--workers", 1..=MOST_WORKERS),
            (Axis::Payload, "--payloads", LEAST_PAYLOAD_BYTES..=MOST_PAYLOAD_BYTES),
            (Axis::Endpoints, "--endpoints", 2..=MOST_ENDPOINTS),
            (Axis::Train, "--trains", 1..=MOST_TRAIN),
            (Axis::Hostile, "--hostile", 0..=MOST_HOSTILE_PERCENT),
        ];
        for (axis, flag, range) in ranges {
            if let Some(value) = self.values(axis).iter().find(|value| !range.contains(value)) {
                return Some(format!("{flag} {value}: {} to {} can be measured", range.start(), range.end()));
            }
            if self.values(axis).is_empty() {
                return Some(format!("{flag} needs a value"));
            }
        }
        let cells = self.cells().len();
        (cells > MOST_CELLS).then(|| {
            format!(
                "{cells} combinations are more than the {MOST_CELLS} that one sweep takes: name fewer values"
            )
        })
    }
}

const MOST_WORKERS: u32 = 1_024;
/// The generator's stamp takes so many bytes.
const LEAST_PAYLOAD_BYTES: u32 = 24;
const MOST_PAYLOAD_BYTES: u32 = 1_440;
const MOST_ENDPOINTS: u32 = 1_000_000;
const MOST_TRAIN: u32 = 64;
/// With more, too little is left to be measured.
const MOST_HOSTILE_PERCENT: u32 = 90;
const MOST_CELLS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Matrix {
        Matrix {
            engines: vec![Engine::Epoll, Engine::Uring],
            workers: vec![1],
            payloads_bytes: vec![168, 24, 1_200],
            endpoints: vec![1_000],
            trains: vec![1, 16],
            hostile_percent: vec![0],
            is_crossed: false,
        }
    }

    #[test]
    fn a_star_varies_one_axis_at_a_time() {
        let matrix = matrix();
        let cells = matrix.cells();
        assert_eq!(cells.len(), 2 * (1 + 2 + 1));
        let base = matrix.base(Engine::Epoll).unwrap();
        assert_eq!(cells[0], base);
        assert!(cells[1..4].iter().all(|cell| cell.differences(&base).len() == 1));
        let crossed = Matrix { is_crossed: true, ..matrix };
        assert_eq!(crossed.cells().len(), 2 * 3 * 2);
    }

    #[test]
    fn repeats_are_measured_once() {
        let matrix = Matrix { payloads_bytes: vec![168, 168], engines: vec![Engine::Epoll; 2], ..matrix() };
        assert_eq!(matrix.cells().len(), 2);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        assert_eq!(matrix().fault(), None);
        let wrong = [
            (Matrix { hostile_percent: vec![0, 120], ..matrix() }, "--hostile 120: 0 to 90"),
            (Matrix { payloads_bytes: vec![3], ..matrix() }, "--payloads 3: 24 to 1440"),
            (Matrix { trains: Vec::new(), ..matrix() }, "--trains needs a value"),
            (
                Matrix {
                    is_crossed: true,
                    workers: (1..=30).collect(),
                    payloads_bytes: (24..=60).collect(),
                    ..matrix()
                },
                "combinations are more than",
            ),
        ];
        for (matrix, words) in wrong {
            assert!(matrix.fault().unwrap().contains(words), "{:?}", matrix.fault());
        }
    }
}

//! The XDP program against the model: random scenes, random frames, one by one.
//!
//! * A scene depends on its number alone, so whatever fails can be run again by that number.
//! * Each thread has a program, maps and a processor of its own: budgets are per processor.
//! * Counters are read after every frame, so a wrong reason cannot hide behind another.

use crate::arrivals;
use crate::budget::Budgets;
use crate::kernel::{self, Kernel};
use crate::model;
use crate::outcome::FrameOutcome;
use crate::random::Random;
use crate::reference::Reference;
use crate::scene::Scene;
use crate::setup::Setup;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::Reason;

/// Compares `cases` frames, or as many as CONFORMANCE_CASES says.
pub(crate) fn run() -> Result<(), String> {
    let wanted = match std::env::var("CONFORMANCE_CASES") {
        Ok(text) => text.parse().map_err(|_| format!("CONFORMANCE_CASES is {text:?}; right is a number"))?,
        Err(_) => CASES,
    };
    let scenes = wanted.div_ceil(FRAMES_PER_SCENE);
    let (next, total) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let serve = |kernel: &mut Kernel| -> Result<(), String> {
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= scenes {
                return Ok(());
            }
            if let Err(finding) = scene(kernel, number, &total) {
                next.store(scenes, Relaxed);
                return Err(finding);
            }
        }
    };
    let cpus = kernel::processors()?;
    std::thread::scope(|scope| {
        let on = |cpu: usize| scope.spawn(move || kernel::on_processor(cpu, serve));
        let threads: Vec<_> = cpus.into_iter().map(on).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread compares"))
    })?;
    total.into_inner().expect("no thread panicked").assert_broad(wanted)
}

/// Every setup that differs in one thing from the program's must be noticed, and every changed bit of an expectation.
pub(crate) fn control() -> Result<(), String> {
    let cpus = kernel::processors()?;
    kernel::on_processor(cpus[0], |kernel| {
        SPOILS.iter().try_for_each(|(what, spoil)| other_setup(kernel, what, *spoil))?;
        turned_bits(kernel)
    })
}

fn other_setup(kernel: &mut Kernel, what: &str, spoil: fn(&mut Setup)) -> Result<(), String> {
    let noticed = (0..CONTROL_SCENES).any(|number| {
        let scene = draw(kernel, CONTROL_FIRST + number);
        let mut other = scene.clone();
        spoil(&mut other.setup);
        compare(kernel, &scene, &other.setup, CONTROL_FIRST + number, |_| {}).is_err()
    });
    let unnoticed = || format!("a model with another {what} went unnoticed in {CONTROL_SCENES} scenes");
    if noticed { Ok(()) } else { Err(unnoticed()) }
}

fn turned_bits(kernel: &mut Kernel) -> Result<(), String> {
    let mut scenes = 0;
    for number in CONTROL_LATER..CONTROL_LATER + CONTROL_SCENES {
        let (scene, mut random, mut turned) = (draw(kernel, number), Random::new(number), false);
        let result = compare(kernel, &scene, &scene.setup, number, |outcome| {
            if let FrameOutcome::Relayed(bytes) | FrameOutcome::Observed(bytes) = outcome {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
                turned = true;
            }
        });
        if turned && result.is_ok() {
            return Err(format!("a bit turned over in scene {number} went unnoticed"));
        }
        scenes += u64::from(turned);
    }
    if scenes > CONTROL_SCENES / 2 { Ok(()) } else { Err(format!("{scenes} scenes had a bit to turn over")) }
}

fn scene(kernel: &mut Kernel, number: u64, total: &Mutex<Tally>) -> Result<(), String> {
    let scene = draw(kernel, number);
    let tally = compare(kernel, &scene, &scene.setup, number, |_| {})?;
    let mut total = total.lock().map_err(|_| "another thread panicked".to_owned())?;
    total.add(&tally);
    if total.cases % PROGRESS == 0 {
        eprintln!("{} frames compared", total.cases);
    }
    Ok(())
}

/// The scene of this number; no bucket that one of another number has touched is still owing.
pub(crate) fn draw(kernel: &Kernel, number: u64) -> Scene {
    let mut random = Random::new(SEED ^ number << 20);
    let mut scene = Scene::draw(&mut random, kernel.own_mac());
    scene.setup.now_ns = (number + 1) * SCENE_APART_NS;
    scene.setup.stun = random.once_in(3);
    scene
}

/// Runs the frames of a scene; `model` is the setup that expectations are made from, `touch` may change one.
fn compare(
    kernel: &mut Kernel,
    scene: &Scene,
    model: &Setup,
    number: u64,
    mut touch: impl FnMut(&mut FrameOutcome),
) -> Result<Tally, String> {
    let (mut pair, mut tally) = (Pair::new(kernel, scene, model)?, Tally::default());
    for case in 0..FRAMES_PER_SCENE {
        let mut random = Random::new(SEED ^ number << 20 ^ (case + 1) << 1);
        let frame = arrivals::draw(scene, &mut random);
        let got = pair.run(&frame, &mut touch).map_err(|finding| {
            format!("scene {number}, case {case}\n{finding}\nsetup:    {:?}", scene.setup)
        })?;
        tally.note(&frame, &got);
    }
    Ok(tally)
}

/// The program and the model side by side, in one scene.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    kernel: &'a mut Kernel,
    own_mac: [u8; 6],
    reference: Reference<'a>,
    budgets: Budgets,
}

impl<'a> Pair<'a> {
    pub(crate) fn new(kernel: &'a mut Kernel, scene: &Scene, model: &'a Setup) -> Result<Self, String> {
        kernel.configure(&scene.setup)?;
        let own_mac = scene.own_mac;
        Ok(Pair { kernel, own_mac, reference: Reference::new(model), budgets: Budgets::default() })
    }

    /// What both did with a frame.
    ///
    /// # Errors
    /// They differ.
    pub(crate) fn run(
        &mut self,
        frame: &[u8],
        touch: &mut impl FnMut(&mut FrameOutcome),
    ) -> Result<FrameOutcome, String> {
        let mut expected = model::expect(frame, self.own_mac, &self.reference, &mut self.budgets);
        touch(&mut expected);
        let got = self.kernel.run(frame)?;
        if got == expected {
            return Ok(got);
        }
        Err(format!("frame:    {}\nexpected: {expected}\ngot:      {got}", hex::encode(frame)))
    }
}

/// How often what came, so that the comparison cannot pass by comparing little.
#[derive(Clone, Debug, Default)]
struct Tally {
    cases: u64,
    not_ours: u64,
    passed: u64,
    observed: [u64; 2],
    relayed: [u64; 2],
    sealed: [u64; 2],
    renewed: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl Tally {
    fn note(&mut self, frame: &[u8], outcome: &FrameOutcome) {
        let family = usize::from(frame.get(12) == Some(&0x86));
        let header = if family == 1 { 14 + 40 + 8 } else { 14 + 20 + 8 };
        self.cases += 1;
        match outcome {
            FrameOutcome::NotOurs => self.not_ours += 1,
            FrameOutcome::Passed => self.passed += 1,
            FrameOutcome::Observed(_) => self.observed[family] += 1,
            FrameOutcome::Relayed(bytes) => {
                let sealed = bytes[header] == 0x0e;
                (if sealed { &mut self.sealed } else { &mut self.relayed })[family] += 1;
                let expires = header + 4..header + 8;
                self.renewed += u64::from(bytes[expires.clone()] != frame[expires]);
            }
            FrameOutcome::Dropped(reason) => self.dropped[*reason as usize] += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        let add = |mine: &mut [u64], theirs: &[u64]| {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        };
        self.cases += other.cases;
        self.not_ours += other.not_ours;
        self.passed += other.passed;
        self.renewed += other.renewed;
        add(&mut self.observed, &other.observed);
        add(&mut self.relayed, &other.relayed);
        add(&mut self.sealed, &other.sealed);
        add(&mut self.dropped, &other.dropped);
    }

    /// Each outcome has its share: at least one case in 5,000, the common ones one in 100.
    fn assert_broad(&self, wanted: u64) -> Result<(), String> {
        let dropped = Reason::ALL.into_iter().filter(|reason| *reason != Reason::Truncated);
        let mut rare = dropped.map(|reason| self.dropped[reason as usize]);
        let rare = rare.all(|number| number >= wanted / 5_000) && self.renewed >= wanted / 5_000;
        let common = [self.not_ours, self.passed]
            .into_iter()
            .chain(self.observed)
            .chain(self.relayed)
            .chain(self.sealed);
        let common = common.min().unwrap_or_default() >= wanted / 100;
        let summary = format!("{self:?}");
        if std::env::var_os("CONFORMANCE_CASES").is_some() {
            eprintln!("{summary}");
        }
        if rare && common && self.cases >= wanted {
            Ok(())
        } else {
            Err(format!("too little was tried: {summary}"))
        }
    }
}

/// One thing that a model can get wrong.
type Spoil = (&'static str, fn(&mut Setup));

const SPOILS: &[Spoil] = &[
    ("key", |setup| setup.keys[0].1[0] ^= 1),
    ("minting key", |setup| setup.keys.reverse()),
    ("time", |setup| setup.now_s = setup.now_s.wrapping_add(1)),
    ("answer lifetime", |setup| setup.answer_lifetime_s += 1),
    ("ticket lifetime", |setup| setup.ticket_lifetime_s += 1),
    ("size", |setup| setup.max_datagram -= 1),
    ("port", |setup| setup.listen_v4.iter_mut().for_each(|listen| listen.set_port(listen.port() ^ 1))),
    ("STUN", |setup| setup.stun ^= true),
    ("PROBE budget", |setup| setup.probe_budget_s += 1),
    ("class rate", |setup| setup.class_rates_bytes_s[2] = setup.class_rates_bytes_s[2].xor(Some(40))),
    ("hash key", |setup| setup.hash_key[0] ^= 1),
    ("allowed block", |setup| setup.allow_destination.clear()),
    ("denied destination", |setup| setup.deny_destination.clear()),
    ("denied source", |setup| setup.deny_source.clear()),
    ("broadcast", |setup| setup.broadcasts.clear()),
    ("local address", |setup| setup.local.clear()),
    ("local prefix", |setup| setup.prefixes.clear()),
    ("revocation", |setup| setup.revoked.clear()),
    ("advertised address", |setup| setup.advertise.clear()),
    ("route", |setup| setup.routes.truncate(1)),
    ("neighbour", |setup| setup.neighbours.clear()),
];

const CASES: u64 = 100_000;
const FRAMES_PER_SCENE: u64 = 250;
const PROGRESS: u64 = 500_000;
const SEED: u64 = 0x05ee_d0fc_0de5;
/// More than the longest time that a datagram can owe.
const SCENE_APART_NS: u64 = 10_000_000_000_000;
const CONTROL_FIRST: u64 = 1 << 19;
const CONTROL_LATER: u64 = 1 << 20;
const CONTROL_SCENES: u64 = 60;

//! What is said when a program fails: who, how, and its own last words.
//!
//! * A failure of one program ends the run; none is taken for a result.

use crate::{Stage, load, wait_for_relaying};
use harness::PATIENCE;
use lab::programs::generator::Generator;
use lab::programs::interrupt::Interrupted;
use lab::programs::program::{Program, Signal, Start};
use lab::programs::reflector::{Options, Reflector};
use lab::programs::scratch::Scratch;

#[test]
fn a_ring_of_another_reflector_is_named() {
    let stage = Stage::enter();
    let reflector = stage.reflector(&[]);
    let scratch = Scratch::new().unwrap();
    let other = scratch.fresh_ring("other.toml").unwrap();
    let mut start = Start::new(&stage.programs.loadgen);
    start.arg("run").option("--reflector", reflector.listen()).option("--keys", other.display());
    start.option("--endpoints", 50).option("--rate", 500).option("--duration", "1s").option("--warmup", "0s");
    start.option("--workers", 1).arg("--quiet");
    let mut generator = Program::start(&start).unwrap();
    let status = generator.wait(PATIENCE).unwrap();
    assert!(!matches!(status.code(), None | Some(0)), "{status:?}");
    assert!(generator.last_words().contains("ring"), "{}", generator.last_words());
}

#[test]
fn a_reflector_that_dies_ends_the_run() {
    let stage = Stage::enter();
    let mut reflector = stage.reflector(&[]);
    let generator = Generator::start(&stage.programs.loadgen, &reflector, &load(50, 500, 5_000)).unwrap();
    wait_for_relaying(&mut reflector, 0);
    reflector.program().signal(Signal::Kill).unwrap();
    let error = generator.finish(&mut reflector, &stage.interrupt).unwrap_err().to_string();
    assert!(error.contains("the reflector ended during the run (signal 9)"), "{error}");
    assert!(reflector.metrics().unwrap_err().to_string().contains("signal 9"));
}

#[test]
fn a_reflector_that_does_not_start_says_why() {
    let stage = Stage::enter();
    let options =
        Options { cpus: Vec::new(), arguments: vec!["--answer-lifetime".to_owned(), "2s".to_owned()] };
    let error = Reflector::start(&stage.programs.reflector, &options).unwrap_err().to_string();
    assert!(error.contains("before it was ready") && error.contains("answer-lifetime"), "{error}");
}

#[test]
fn an_interrupt_ends_a_run_and_its_programs() {
    let stage = Stage::enter();
    let mut reflector = stage.reflector(&[]);
    let mut generator = Generator::start(&stage.programs.loadgen, &reflector, &load(50, 500, 5_000)).unwrap();
    let process = format!("/proc/{}", generator.program().id());
    stage.interrupt.ask();
    let error = generator.finish(&mut reflector, &stage.interrupt).unwrap_err();
    assert!(error.is::<Interrupted>() && !std::path::Path::new(&process).exists(), "{error}");
}

//! The program `reflector`; everything it does is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    reflector::commands::main(std::env::args_os())
}

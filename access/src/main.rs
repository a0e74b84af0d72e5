//! The program `reflector-access`; everything it does is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    access::operate::commands::main(std::env::args_os())
}

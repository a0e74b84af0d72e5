//! The program `reflector-endpoint`; everything it does is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    endpoint_cli::program::main(std::env::args_os())
}

//! The program `semper-vault`.

use std::process::ExitCode;

fn main() -> ExitCode {
    semper_vault::process::main(std::env::args().skip(1))
}

//! `kcptun`: the toolbox. `kcptun client …` is `kcptun-client …`, `kcptun server …` likewise.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcptun::entry::toolbox(std::env::args_os().skip(1))
}

//! `kcptun-server`: see `kcptun-server -h`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcptun::entry::server(std::env::args_os().skip(1))
}

//! `kcptun-client`: see `kcptun-client -h`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcptun::entry::client(std::env::args_os().skip(1))
}

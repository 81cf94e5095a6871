//! `kcptun`: the toolbox. `kcptun client …` is `kcptun-client …`, `kcptun server …` likewise.

use std::process::ExitCode;

#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: kcptun_net::LargeBlocks = kcptun_net::LargeBlocks;

fn main() -> ExitCode {
    kcptun::entry::toolbox(std::env::args_os().skip(1))
}

//! `kcptun-server`: see `kcptun-server -h`.

use std::process::ExitCode;

#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: kcptun_net::LargeBlocks = kcptun_net::LargeBlocks;

fn main() -> ExitCode {
    kcptun::entry::server(std::env::args_os().skip(1))
}

//! `kcptun-client`: see `kcptun-client -h`.

use std::process::ExitCode;

#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: kcptun_net::LargeBlocks = kcptun_net::LargeBlocks;

fn main() -> ExitCode {
    kcptun::entry::client(std::env::args_os().skip(1))
}

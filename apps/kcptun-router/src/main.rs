//! `kcptun-router client …`, `kcptun-router server …`; called `kcptun-client` or `kcptun-server`,
//! it is that.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: kcptun_net::LargeBlocks = kcptun_net::LargeBlocks;

fn main() -> ExitCode {
    kcptun_router::run(std::env::args_os())
}

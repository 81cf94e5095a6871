//! `kcptun-router client …`, `kcptun-router server …`; called `kcptun-client` or `kcptun-server`,
//! it is that.

#[allow(unsafe_code)]
mod large_blocks;

use std::process::ExitCode;

use crate::large_blocks::LargeBlocks;

#[global_allocator]
static ALLOCATOR: LargeBlocks = LargeBlocks;

fn main() -> ExitCode {
    kcptun_router::run(std::env::args_os())
}

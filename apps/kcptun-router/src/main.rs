//! `kcptun-router client …`, `kcptun-router server …`; called `kcptun-client` or `kcptun-server`,
//! it is that.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcptun_router::run(std::env::args_os())
}

//! The suite on tokio.

kcptun_runtimes::suite!(kcptun_runtimes::Tokio);

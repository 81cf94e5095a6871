//! The suite on smol.

kcptun_runtimes::suite!(kcptun_runtimes::Smol);

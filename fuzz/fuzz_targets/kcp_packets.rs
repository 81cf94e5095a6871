//! See [`kcptun_fuzzing::kcp_packets`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::kcp_packets(data));

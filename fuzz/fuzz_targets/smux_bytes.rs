//! See [`kcptun_fuzzing::smux_bytes`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::smux_bytes(data));

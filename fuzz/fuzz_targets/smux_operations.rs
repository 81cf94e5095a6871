//! See [`kcptun_fuzzing::smux_operations`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::smux_operations(data));

//! See [`kcptun_fuzzing::fec_groups`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::fec_groups(data));

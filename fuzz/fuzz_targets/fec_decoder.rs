//! See [`kcptun_fuzzing::fec_decoder`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::fec_decoder(data));

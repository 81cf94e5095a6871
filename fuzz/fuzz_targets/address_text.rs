//! See [`kcptun_fuzzing::address_text`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::address_text(data));

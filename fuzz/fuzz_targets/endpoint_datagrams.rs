//! See [`kcptun_fuzzing::endpoint_datagrams`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::endpoint_datagrams(data));

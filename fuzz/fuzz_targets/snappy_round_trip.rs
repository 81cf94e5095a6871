//! See [`kcptun_fuzzing::snappy_round_trip`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::snappy_round_trip(data));

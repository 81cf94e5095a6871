//! See [`kcptun_fuzzing::snappy_decompress`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kcptun_fuzzing::snappy_decompress(data));

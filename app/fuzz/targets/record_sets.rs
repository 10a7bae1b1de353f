#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rowferry::fuzzing::record_sets(data));

//! See `mediaflow_shared::testing::fuzz::fuzz_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mediaflow_shared::testing::fuzz::fuzz_event(data));

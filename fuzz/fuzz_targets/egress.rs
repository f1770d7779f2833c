#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| untold_fuzz::egress::answers(data));

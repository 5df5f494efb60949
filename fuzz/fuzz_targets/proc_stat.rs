#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "each program fuzzes one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::proc_stat(input));

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    semper_sim::fuzz::run("notice", input);
});

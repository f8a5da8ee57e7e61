//! Any input read as a case file gives a value or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let _ = corpus::read::parse(input, std::path::Path::new("input"));
});

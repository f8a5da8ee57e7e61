//! Any input read as BTF, and then as the kernel's types that a program is relocated against.
#![no_main]

use libfuzzer_sys::fuzz_target;
use semantics::loader::{LoadOptions, Object, read_btf};

/// A program with every kind of CO-RE relocation.
const OBJECT: &[u8] = include_bytes!("../../corpus/program/core.o");

fuzz_target!(|input: &[u8]| {
    let Ok(btf) = read_btf(input) else { return };
    let object = Object::parse(OBJECT).expect("the corpus is well-formed");
    let options = LoadOptions { btf: Some(&btf), ..LoadOptions::default() };
    for program in object.load_all(&options) {
        let _ = program.map_err(|error| error.to_string());
    }
});

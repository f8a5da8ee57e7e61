//! Any input read as an ELF object: each of its programs, with types, lines and relocations, is a value or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use semantics::loader::{LoadOptions, Object, read_btf};
use semantics::program_type::ProgramType;

fuzz_target!(|input: &[u8]| {
    let Ok(object) = Object::parse(input) else { return };
    // Relocated against the world's types, and against its own.
    let own = read_btf(input).ok();
    for btf in [None, own.as_ref()] {
        let options = LoadOptions { btf, program_type: Some(ProgramType::Xdp), ..LoadOptions::default() };
        for program in object.load_all(&options) {
            let _ = program.map_err(|error| error.to_string());
        }
    }
});

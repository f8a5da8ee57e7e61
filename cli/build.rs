//! Tells the linker where the solver's shared library lies, if the command is built with proofs.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_MANIFEST_DIR");
    if std::env::var_os("CARGO_FEATURE_PROOFS").is_some() {
        let manifest = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{manifest}/../.solver/z3/lib");
    }
}

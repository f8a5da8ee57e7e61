//! Compiled programs of other people's collections go all the way: loaded, verified, run on both engines with equal
//! outcomes. They are not part of the project; without them the test says that it skipped.

use std::path::PathBuf;
use std::process::Command;

const PACKETS: [&str; 3] = [
    "",
    "ffffffffffff0000000000000800",
    "000000000000020000000001080045000028000100004006000000000000c0a8000104d21e61000000000000000050022000000000",
];

fn objects() -> Option<PathBuf> {
    let shared = std::env::var_os("TOUCHSTONE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    Some(shared.join("suites/objects")).filter(|path| path.is_dir())
}

#[test]
fn objects_that_need_no_more_than_is_modelled_go_all_the_way() {
    let Some(objects) = objects() else {
        println!("skipped: no sample objects (TOUCHSTONE_SHARED names their place)");
        return;
    };
    for name in ["build/packet_start_ok.o", "build/dependent_read.o"] {
        let object = objects.join(name);
        for packet in PACKETS {
            let output = Command::new(env!("CARGO_BIN_EXE_touchstone"))
                .arg("run")
                .arg(&object)
                .args(["--engine", "both", "--packet", packet])
                .output()
                .expect("the command starts");
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
            assert!(text.contains("r0 = "), "{name}: {text}");
        }
    }
}

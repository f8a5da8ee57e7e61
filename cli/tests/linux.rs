//! `touchstone linux`: which kernels there are, without any of them being booted.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Output, errors and exit code with this folder of kernels.
fn linux(folder: &Path, args: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
    command.arg("linux").args(args).env("TOUCHSTONE_KERNELS", folder).env_remove("TOUCHSTONE_ACCEL");
    let output = command.output().expect("the command starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("not killed"))
}

#[test]
fn kernels_are_listed_with_their_packages() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
    let _ = fs::remove_dir_all(&folder);
    let (_, errors, code) = linux(&folder, &[]);
    assert!(code == 2 && errors.contains("there are no kernels in") && errors.contains("make linux"), "{errors}");
    assert_eq!(linux(&folder, &["--format", "json"]).0.trim(), "[]");

    for version in ["6.12", "6.1"] {
        fs::create_dir_all(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("vmlinuz"), []).unwrap();
    }
    let package = "suite: bookworm\npackage: linux-image-x\nversion: 6.1.9-1\nrelease: 6.1.0-9-cloud-amd64\n";
    fs::write(folder.join("6.1/package"), package).unwrap();
    fs::write(folder.join("accelerator"), "tcg\n").unwrap();
    let (out, _, code) = linux(&folder, &["--format", "json"]);
    let kernels: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!((&kernels[0]["version"], &kernels[1]["version"]), (&"6.1".into(), &"6.12".into()), "oldest first");
    assert_eq!(
        (&kernels[0]["release"], &kernels[0]["package_version"]),
        (&"6.1.0-9-cloud-amd64".into(), &"6.1.9-1".into())
    );
    assert_eq!((&kernels[0]["accelerator"], &kernels[1]["suite"]), (&"tcg".into(), &"".into()));
    assert!(linux(&folder, &[]).0.contains("6.1.0-9-cloud-amd64"));

    let (_, errors, code) = linux(&folder, &["boot", "5.10"]);
    assert!(code == 2 && errors.contains("there is no kernel 5.10 in") && errors.contains("6.1, 6.12"), "{errors}");
    let (_, errors, code) = linux(&folder, &["boot", "6.1"]);
    assert!(code == 2 && errors.contains("initramfs: ") && errors.contains("make linux"), "{errors}");
}

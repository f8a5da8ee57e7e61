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

    fs::write(folder.join("initramfs"), []).unwrap();
    let (_, errors, code) = linux(&folder, &["boot", "6.1"]);
    assert!(code == 2 && errors.contains("6.1/vmlinuz: this is no kernel image"), "{errors}");
    let mut cut = vec![0; 8192];
    cut[0x202..0x206].copy_from_slice(b"HdrS");
    cut[0x1f6] = 1;
    fs::write(folder.join("6.1/vmlinuz"), cut).unwrap();
    let (_, errors, code) = linux(&folder, &["boot", "6.1"]);
    assert!(code == 2 && errors.contains("6.1/vmlinuz: the kernel image is cut: 8192 bytes of 1049088"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "the reason is told once: {errors}");

    // A whole one, as far as can be seen; but nobody to boot it.
    fs::write(folder.join("6.1/vmlinuz"), [&fs::read(folder.join("6.1/vmlinuz")).unwrap()[..], &[0; 1 << 20]].concat())
        .unwrap();
    let run = |name: &str, value: &std::ffi::OsStr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
        command.args(["linux", "boot", "6.1"]).env("TOUCHSTONE_KERNELS", &folder).env(name, value);
        let output = command.output().expect("the command starts");
        (String::from_utf8(output.stderr).expect("text"), output.status.code().expect("not killed"))
    };
    let (errors, code) = run("PATH", folder.as_os_str());
    assert!(code == 2 && errors.contains("qemu-system-x86_64: ") && errors.contains("make linux"), "{errors}");
    let (errors, code) = run("TOUCHSTONE_ACCEL", "hvf".as_ref());
    assert!(code == 2 && errors.matches("`hvf` is no accelerator").count() == 1, "{errors}");
}

/// Cases that a guest has no memory for, and no time for: both are told with their reason, and the rest goes on.
#[test]
fn what_is_too_much_for_a_guest_is_told_and_the_rest_goes_on() {
    if linux::Kernel::find(&linux::kernel::folder(), "6.1").is_err() {
        eprintln!("skipped: there is no kernel 6.1: `make linux`");
        return;
    }
    let round = "r1 = 0x7fffff; r2 = inner ll; r3 = 0; r4 = 0; call loop; r0 = 0; exit;";
    let cases = format!(
        "- {{name: fine, asm: \"r0 = 7; exit\", result: 7}}\n\
         - {{name: large, maps: {{m: {{type: array, key_size: 4, value_size: 1048576, max_entries: 900}}}}, \
         asm: \"r1 = map[m] ll; r0 = 7; exit\", result: 7}}\n\
         - {{name: endless, asm: \"r1 = 0x7fffff; r2 = outer ll; r3 = 0; r4 = 0; call loop; exit; outer: {round} \
         inner: r0 = 0; exit\", expect: {{verdict: accept}}, inputs: [{{packet: \"{packet}\"}}]}}\n\
         - {{name: fine again, asm: \"r0 = 8; exit\", result: 8}}\n",
        packet = "00".repeat(64)
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("too-much.yaml");
    fs::write(&file, cases).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchstone"));
    command.args(["suite", "--engine", "linux-6.1-jit", "--format", "json"]).arg(&file);
    let output = command.output().expect("the command starts");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Map(0): error 12"), "{text}");
    assert!(text.contains("no answer in 30 s"), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let count = |what: &str| report[what].as_u64();
    assert_eq!((count("passed"), count("failed"), count("skipped")), (Some(2), Some(1), Some(1)), "{text}");
}

//! Guests that do not come up, and what is left of them when they or their hosts end: nothing.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{is_answer, named, open, processes, returns, scratch, tagged, wait_for_end};
use linux::{Guest, GuestError, Kernel, Lost, Machine, Order, Pool, Settings};

/// What the children of these tests are to do.
const ROLE: &str = "TOUCHSTONE_TEST_ROLE";

/// This test file again, as a process of its own that does only what [`child`] says for this role.
fn another(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).stdin(Stdio::null());
    command
}

#[test]
fn kernels_that_do_not_boot() {
    let Some(kernel) = common::kernel() else { return };
    let folder = scratch("boot");
    let (garbage, empty) = (folder.join("garbage"), folder.join("empty"));
    fs::write(&garbage, [0x5a; 8192]).unwrap();
    fs::write(&empty, []).unwrap();
    let start = |kernel: Kernel, boot: u64| {
        let settings = Settings { boot: Duration::from_millis(boot), ..Settings::default() };
        Machine::new(kernel, settings).ask_one(&returns(1)).unwrap_err()
    };

    let error = start(Kernel { image: garbage, ..kernel.clone() }, 100).to_string();
    assert!(error.contains("garbage: this is no kernel image") && error.contains("make linux"), "{error}");
    let cut = folder.join("cut");
    let whole = fs::read(&kernel.image).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let error = start(Kernel { image: cut, ..kernel.clone() }, 100).to_string();
    assert!(error.contains("cut: the kernel image is cut: ") && error.contains("make linux"), "{error}");
    // A kernel whose bytes are not its own does not unpack itself, and does not say so either.
    let damaged = folder.join("damaged");
    let half = whole.len() / 2;
    fs::write(&damaged, [&whole[..half], &vec![0x5a; whole.len() - half]].concat()).unwrap();
    let error = start(Kernel { image: damaged, ..kernel.clone() }, 2000);
    assert!(matches!(&error, GuestError::Boot { why: Lost::Ended(_) | Lost::Silent(_), .. }), "{error}");

    let error = start(Kernel { initramfs: empty, ..kernel.clone() }, 60_000);
    let GuestError::Boot { why: Lost::Ended(_), console, .. } = &error else { panic!("{error}") };
    assert!(console.contains("Unable to mount root fs"), "{console}");

    let error = start(kernel.clone(), 100);
    assert!(error.to_string().contains("did not boot: no answer in 0.1 s"), "{error}");

    let missing = folder.join("missing");
    let error = start(Kernel { image: missing.clone(), ..kernel.clone() }, 100).to_string();
    assert!(error.contains(missing.to_str().unwrap()) && error.contains("make linux"), "{error}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn no_qemu_and_one_that_always_fails() {
    let Some(_) = common::kernel() else { return };
    let folder = scratch("path");
    let run = || {
        let child = another("one job").env("PATH", &folder).output().unwrap();
        String::from_utf8(child.stdout).unwrap()
    };
    let said = run();
    assert!(said.contains("error: qemu-system-x86_64: ") && said.contains("make linux"), "{said}");

    let (fake, log) = (folder.join("qemu-system-x86_64"), folder.join("log"));
    fs::write(&fake, format!("#!/bin/sh\necho started >> {}\necho no such machine\nexit 3\n", log.display())).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let said = run();
    assert!(said.contains("did not boot: it ended (exit status: 3)") && said.contains("no such machine"), "{said}");
    assert_eq!(fs::read_to_string(&log).unwrap(), "started\nstarted\n", "a second chance, and no third");
    fs::remove_dir_all(&folder).unwrap();
}

/// Guests that speak, but not as they should: scripts in qemu's place, with the other end of the line.
#[test]
fn guests_that_talk_nonsense() {
    let Some(_) = common::kernel() else { return };
    let folder = scratch("nonsense");
    let said = |script: &str| {
        // The line is descriptor 9 to read from and 8 to write to.
        let find =
            r"for word; do case $word in socket,id=signals,fd=*) fd=${word##*=}; exec 9<&$fd 8>&$fd;; esac; done";
        let fake = folder.join("qemu-system-x86_64");
        fs::write(&fake, format!("#!/bin/bash\n{find}\n{script}\n")).unwrap();
        fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        String::from_utf8(another("one job").env("PATH", path).output().unwrap().stdout).unwrap()
    };
    let version = wire::VERSION;
    let other = said("echo hello 99 6.1 >&8; exec sleep 9");
    assert!(other.contains("error: the guest's agent speaks version 99") && other.contains("make linux"), "{other}");
    let early = said("echo done >&8; exec sleep 9");
    assert!(early.contains("did not boot: it said `done`"), "{early}");
    for line in ["answer 0 0 9", "at 1", "done", "hello 2 x", "overlong 0 5"] {
        let given = said(&format!("echo hello {version} 6.1 >&8; read ask <&9; echo {line} >&8; exec sleep 9"));
        assert!(given.contains("given: Err(Lost { why: Nonsense"), "{line}: {given}");
    }
    let outside = said(&format!(
        "echo hello {version} 6.1 >&8; read ask <&9; echo at 0 >&8; echo answer 0 1 {} >&8; exec sleep 9",
        usize::MAX
    ));
    assert!(outside.contains("given: Err(Lost { why: Nonsense"), "{outside}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_host_that_is_killed_takes_its_guests_along() {
    let Some(_) = common::kernel() else { return };
    let folder = scratch("kill");
    for (name, signal) in [("int", libc::SIGINT), ("term", libc::SIGTERM), ("kill", libc::SIGKILL)] {
        let tag = format!("{name}-{}", std::process::id());
        let mut command = another(&format!("pool {tag}"));
        // Whoever starts the tests in the background may have them ignore an interrupt.
        // SAFETY: setting a handler is all that is done between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                Ok(())
            });
        }
        let mut child = command.env("TMPDIR", &folder).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")), "two guests are up");
        assert_eq!(processes(&tag).len(), 2);
        // SAFETY: a signal to a child that is not yet waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
        assert!(!child.wait().unwrap().success());
        assert_eq!(wait_for_end(&tag), [], "guests that outlive their host ({name})");
        assert_eq!(named(&folder), Vec::<String>::new());
    }
    assert!(!named(Path::new("/dev/shm")).iter().any(|name| name.contains("touchstone") || name.contains("qemu")));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn guests_leave_nothing_behind() {
    let Some(_) = common::kernel() else { return };
    let folder = scratch("loop");
    let child = another("loop").env("TMPDIR", &folder).output().unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(said.contains("loop done"), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(named(&folder), Vec::<String>::new());
    fs::remove_dir_all(&folder).unwrap();
}

/// Does nothing, unless it is told to by another test.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let kernel = common::kernel_anyway().expect("the test that started this has checked");
    match role.split_once(' ').unwrap_or((&role, "")) {
        ("one", _) => match Machine::new(kernel, Settings::default()).ask_one(&returns(1)) {
            Ok(given) => println!("given: {given:?}"),
            Err(error) => println!("error: {error}"),
        },
        ("pool", tag) => {
            let mut pool = Pool::new(&kernel, &tagged(tag), 2);
            let jobs = (0..).map(|number| (number, returns(number)));
            for (count, done) in pool.ask(jobs, Order::Done).enumerate() {
                assert!(done.unwrap().1.is_ok());
                // By then the guests have started that are to be started: there is work for two.
                if count > 600 && count % 100 == 0 && processes(tag).len() == 2 {
                    println!("ready");
                }
            }
        }
        ("loop", _) => {
            let tag = format!("loop-{}", std::process::id());
            start(&kernel, &tag, Duration::from_mins(1));
            let before = open();
            for _ in 0..20 {
                start(&kernel, &tag, Duration::from_millis(40));
            }
            start(&kernel, &tag, Duration::from_mins(1));
            assert_eq!(open(), before, "descriptors, threads, children, mappings of guests' memory");
            println!("loop done");
        }
        (other, _) => panic!("no such role: {other}"),
    }
}

/// Starts a guest, and asks it if it comes up in time.
fn start(kernel: &Kernel, tag: &str, boot: Duration) {
    match Guest::start(kernel, &Settings { boot, ..tagged(tag) }) {
        Ok(mut guest) => {
            assert_eq!(processes(tag), [guest.process()]);
            guest.ask(&[returns(3)], &mut |_, given| assert!(is_answer(&given, 3))).unwrap();
        }
        Err(error) => assert!(matches!(error, GuestError::Boot { why: Lost::Silent(_), .. }), "{error}"),
    }
    assert_eq!(processes(tag), Vec::<u32>::new());
}

//! What a guest's kernel and qemu print.

use std::io::{PipeReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Bytes of a console that are kept.
const KEPT: usize = 1 << 16;

/// The end of it, read by a thread of its own so that a guest never waits for us.
#[derive(Debug)]
pub struct Console {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Console {
    pub fn follow(mut pipe: PipeReader) -> Console {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(len @ 1..) = pipe.read(&mut part) {
                let mut text = kept.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend(&part[..len]);
                if text.len() > 2 * KEPT {
                    let surplus = text.len() - KEPT;
                    text.drain(..surplus);
                }
            }
        });
        Console { text, reader: Some(reader) }
    }

    /// The end of all of it, once the guest has ended.
    pub fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let from = text.len().saturating_sub(KEPT);
        String::from_utf8_lossy(&text[from..]).replace('\r', "")
    }
}

/// Whether a kernel says this in its log of a program that is as it should be (`bpf_get_probe_write_proto`).
pub fn is_notice(line: &str) -> bool {
    line.contains("is installing a program with bpf_probe_write_user helper")
}

/// The lines that say most of a console: from where trouble begins, or else the last ones.
pub fn telling(console: &str) -> Vec<&str> {
    const TROUBLE: [&str; 5] = ["BUG:", "Oops", "panic", "WARNING:", "rcu: INFO"];
    let lines: Vec<&str> = console.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.iter().position(|line| TROUBLE.iter().any(|word| line.contains(word)));
    let from = from.unwrap_or(lines.len().saturating_sub(5));
    lines[from..].iter().take(12).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{Console, KEPT, is_notice, telling};

    #[test]
    fn notices_are_no_warnings() {
        let notice = "init[1] is installing a program with bpf_probe_write_user helper that may corrupt user memory!";
        assert!(is_notice(notice) && !is_notice("WARNING: CPU: 0 PID: 1 at kernel/bpf/verifier.c"));
    }

    #[test]
    fn the_end_is_kept() {
        let (read, mut write) = std::io::pipe().unwrap();
        let mut console = Console::follow(read);
        for number in 0..40_000 {
            writeln!(write, "line {number}\r").unwrap();
        }
        drop(write);
        let text = console.finish();
        assert!(text.ends_with("line 39998\nline 39999\n"));
        assert!(text.len() <= KEPT && text.len() > KEPT / 2, "{}", text.len());
    }

    #[test]
    fn trouble_comes_first() {
        assert_eq!(telling("a\n\nBUG: x\nb\n"), ["BUG: x", "b"]);
        assert_eq!(telling("1\n2\n3\n4\n5\n6\n"), ["2", "3", "4", "5", "6"]);
    }
}

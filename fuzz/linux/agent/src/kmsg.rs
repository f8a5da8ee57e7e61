//! The kernel's own log, from where it was last read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// The least important level that is kept: `KERN_WARNING`.
const WARNING: u32 = 4;

pub struct Kmsg(File);

impl Kmsg {
    /// From the end on.
    pub fn open() -> io::Result<Kmsg> {
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Kmsg(file))
    }

    /// Warnings and worse since the last call.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return lines,
                Ok(len) => lines.extend(warning(&String::from_utf8_lossy(&record[..len]))),
                // Records were overwritten before they were read: the next one is the oldest that is left.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(_) => return lines,
            }
        }
    }
}

/// The text of a record (`priority,sequence,time,flags;text`), if it is important.
fn warning(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    (priority & 7 <= WARNING).then(|| text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::warning;

    #[test]
    fn only_warnings_are_kept() {
        assert_eq!(warning("4,12,99,-;WARNING: CPU 0\n SUBSYSTEM=x"), Some("WARNING: CPU 0".to_owned()));
        assert_eq!(warning("12,12,99,-;user warning"), Some("user warning".to_owned()));
        assert_eq!(warning("6,12,99,-;hello"), None);
        assert_eq!(warning("nonsense"), None);
    }
}

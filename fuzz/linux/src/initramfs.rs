//! The archive that a kernel unpacks as its first file system (`newc` cpio).

/// Directory, character device and executable file: types and rights.
const DIRECTORY: u32 = 0o40755;
const DEVICE: u32 = 0o20600;
const EXECUTABLE: u32 = 0o100755;

/// An archive with this program as `/init`, and the console that the kernel opens for it.
pub fn with_init(program: &[u8]) -> Vec<u8> {
    let mut archive = Vec::with_capacity(program.len() + 1024);
    entry(&mut archive, "dev", DIRECTORY, &[], (0, 0));
    entry(&mut archive, "dev/console", DEVICE, &[], (5, 1));
    entry(&mut archive, "init", EXECUTABLE, program, (0, 0));
    entry(&mut archive, "TRAILER!!!", 0, &[], (0, 0));
    archive
}

/// A header of 8-digit hexadecimal fields, the name, the bytes; name and bytes each padded to 4.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8], device: (u32, u32)) {
    let (len, name_len) = (bytes.len() as u32, name.len() as u32 + 1);
    let [inode, uid, gid, links, time, checksum] = [0, 0, 0, 1, 0, 0];
    let fields =
        [inode, mode, uid, gid, links, time, len, 0, 0, device.0, device.1, name_len, checksum].map(|field: u32| field);
    archive.extend(b"070701");
    for field in fields {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.bytes());
    archive.push(0);
    pad(archive);
    archive.extend(bytes);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::with_init;

    #[test]
    fn entries_are_aligned_and_end_with_the_trailer() {
        let archive = with_init(b"12345");
        assert_eq!(archive.len() % 4, 0);
        let starts: Vec<usize> =
            archive.windows(6).enumerate().filter(|(_, six)| six == b"070701").map(|(at, _)| at).collect();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|at| at % 4 == 0));
        let text = String::from_utf8_lossy(&archive);
        assert!(text.contains("init\0") && text.contains("12345") && text.contains("TRAILER!!!\0"));
    }
}

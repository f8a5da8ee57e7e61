//! The way to the host: a serial port for signals, and the memory of a PCI device (`ivshmem-plain`) for messages.

use std::fs::{File, OpenOptions, read_dir, read_to_string};
use std::io::{self, BufRead, BufReader, Error, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use wire::{ANSWERS_LEN, ASKS_LEN, Answer, Ask, Mishap, SHARED_LEN, Signal};

use crate::mishap;

/// The serial port that is not the console.
const PORT: &str = "/dev/ttyS1";
/// Vendor and device of `ivshmem`.
const DEVICE: (&str, &str) = ("0x1af4", "0x1110");

pub struct Channel {
    input: BufReader<File>,
    output: File,
    shared: *mut u8,
    /// Bytes of answers that the host has not read.
    unread: usize,
}

impl Channel {
    pub fn open() -> io::Result<Channel> {
        let output = OpenOptions::new().read(true).write(true).open(PORT)?;
        set_raw(&output)?;
        let input = BufReader::new(output.try_clone()?);
        Ok(Channel { input, output, shared: map_shared()?, unread: 0 })
    }

    pub fn say(&mut self, signal: &Signal) -> io::Result<()> {
        self.output.write_all(signal.to_line().as_bytes())
    }

    /// The next signal that makes sense; `None` when the host is gone.
    pub fn hear(&mut self) -> io::Result<Option<Signal>> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.input.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if let Some(signal) = Signal::from_line(&line) {
                return Ok(Some(signal));
            }
        }
    }

    pub fn ask(&mut self, len: usize) -> io::Result<Ask> {
        if len > ASKS_LEN {
            return Err(Error::new(ErrorKind::InvalidData, "an ask is longer than its memory"));
        }
        // SAFETY: the first ASKS_LEN bytes of the mapping are the host's, who writes nothing between its signal and ours.
        let bytes = unsafe { std::slice::from_raw_parts(self.shared, len) }.to_vec();
        self.unread = 0;
        wire::decode(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error.to_string()))
    }

    pub fn answer(&mut self, job: u32, answer: &Answer, mishap: Option<Mishap>) -> io::Result<()> {
        let mut bytes = wire::encode(answer);
        mishap::on_the_way(mishap, &mut bytes);
        let len = bytes.len();
        if len > ANSWERS_LEN {
            return self.say(&Signal::Overlong { job, len });
        }
        if self.unread + len > ANSWERS_LEN {
            self.say(&Signal::Full)?;
            while self.hear()? != Some(Signal::Read) {}
            self.unread = 0;
        }
        let at = self.unread;
        // SAFETY: the bytes lie behind ASKS_LEN and within SHARED_LEN, and the host does not read them before the signal.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.shared.add(ASKS_LEN + at), len) };
        self.unread += len;
        self.say(&Signal::Answer { job, at, len })
    }
}

/// No echo, no translation, no lines by the driver.
fn set_raw(port: &File) -> io::Result<()> {
    // SAFETY: a termios of zeros is a value of its type.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the structure lives.
    if unsafe { libc::tcgetattr(port.as_raw_fd(), &raw mut settings) } != 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: changes the structure only.
    unsafe { libc::cfmakeraw(&raw mut settings) };
    settings.c_cflag = settings.c_cflag & !libc::CBAUD | libc::B115200;
    // SAFETY: as above.
    if unsafe { libc::tcsetattr(port.as_raw_fd(), libc::TCSANOW, &raw const settings) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

fn map_shared() -> io::Result<*mut u8> {
    let device = find_device()?.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no ivshmem device"))?;
    std::fs::write(device.join("enable"), "1")?;
    let memory = OpenOptions::new().read(true).write(true).open(device.join("resource2"))?;
    let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), SHARED_LEN, read_write, shared, memory.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(at.cast()) }
}

fn find_device() -> io::Result<Option<PathBuf>> {
    let is =
        |path: &Path, what: &str, value: &str| read_to_string(path.join(what)).is_ok_and(|text| text.trim() == value);
    for entry in read_dir("/sys/bus/pci/devices")? {
        let path = entry?.path();
        if is(&path, "vendor", DEVICE.0) && is(&path, "device", DEVICE.1) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

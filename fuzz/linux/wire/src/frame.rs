//! Messages as bytes: a checksum, then the message.

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not even a checksum.
    #[error("a message of {0} bytes has no checksum")]
    Short(usize),
    /// The checksum is another.
    #[error("a message of {len} bytes has the checksum {found:#010x}, stated is {stated:#010x}: it was cut or changed")]
    Checksum {
        /// Bytes of the message.
        len: usize,
        /// What its bytes have.
        found: u32,
        /// What it says.
        stated: u32,
    },
    /// The checksum holds, the message makes no sense: host and agent differ.
    #[error("a message of {len} bytes cannot be read: {reason}")]
    Meaning {
        /// Bytes of the message.
        len: usize,
        /// The reason.
        reason: postcard::Error,
    },
}

/// A message as bytes.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes = postcard::to_extend(message, bytes).expect("a list grows");
    let checksum = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The message in these bytes, all of them.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    let (stated, rest) = bytes.split_first_chunk::<4>().ok_or(FrameError::Short(bytes.len()))?;
    let (stated, found) = (u32::from_le_bytes(*stated), crc32fast::hash(rest));
    if stated != found {
        return Err(FrameError::Checksum { len: bytes.len(), found, stated });
    }
    postcard::from_bytes(rest).map_err(|reason| FrameError::Meaning { len: bytes.len(), reason })
}

//! Network devices, by number.

use serde::{Deserialize, Serialize};

use super::{ConfigError, World};

/// A network device. What is not stated is as the loopback device has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Its number (`ifindex`).
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// The longest packet without link-layer header, in bytes.
    pub mtu: u32,
    /// Bytes of a link-layer header.
    pub hard_header_len: u16,
    /// Whether packets on it begin with a link-layer header (`dev_is_mac_header_xmit`).
    pub mac_header_xmit: bool,
    /// Whether it is up.
    pub up: bool,
}

impl Default for Device {
    /// The loopback device of a new network namespace: it is down.
    fn default() -> Self {
        let name = "lo".to_owned();
        Device { ifindex: 1, name, mtu: 65_536, hard_header_len: 14, mac_header_xmit: true, up: false }
    }
}

/// Whether there can be these devices.
pub(super) fn check(devices: &[Device]) -> Result<(), ConfigError> {
    for (at, device) in devices.iter().enumerate() {
        if device.ifindex == 0 || i32::try_from(device.ifindex).is_err() {
            return Err(ConfigError::DeviceNumber(device.ifindex));
        }
        if devices[..at].iter().any(|other| other.ifindex == device.ifindex) {
            return Err(ConfigError::DeviceTwice(device.ifindex));
        }
        if i32::try_from(device.mtu).is_err() {
            return Err(ConfigError::DeviceMtu(device.mtu));
        }
    }
    Ok(())
}

impl World {
    /// The device with this number (`dev_get_by_index_rcu`).
    pub fn device(&self, ifindex: u32) -> Option<&Device> {
        self.devices.iter().find(|device| device.ifindex == ifindex)
    }
}

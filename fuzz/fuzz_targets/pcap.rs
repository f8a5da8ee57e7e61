//! Any bytes read as a capture give packets or an error, never a panic, and the reading ends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(packets) = corpus::pcap::packets(input) {
        assert!(packets.count() <= input.len());
    }
});

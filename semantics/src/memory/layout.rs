//! Where things lie: the same addresses in every process, so that pointer values, seeds and replays agree.
//!
//! Only packet bytes lie low, so that the 32-bit `data` and `data_end` fields hold real addresses. Everything else lies at
//! 2^45 and above, where a pointer truncated to 32 bits is noticed. Red zones lie between all that C would not let touch.

/// First byte of the packet window.
pub const PACKETS: u64 = 0x1000_0000;
/// Bytes of the packet window.
pub const PACKETS_LEN: u64 = 1 << 20;
/// Bytes before the packet that helpers may grow it into (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: u64 = 256;
/// First byte of the packet as it arrives.
pub const PACKET: u64 = PACKETS + 4096 + HEADROOM;
/// The longest packet.
pub const PACKET_MAX: u64 = 65_535;

/// First byte of the window of contexts and frames.
pub const LOCALS: u64 = 1 << 45;
/// Bytes of that window.
pub const LOCALS_LEN: u64 = 1 << 20;
/// Bytes of a stack frame (`MAX_BPF_STACK`).
pub const FRAME_LEN: u64 = 512;
/// Distance between frames: half of it is red zone.
pub const FRAME_STRIDE: u64 = 1024;
/// The most frames of a program (`MAX_CALL_FRAMES`).
pub const FRAMES_MAX: u64 = 8;
/// How many tail calls a run can make (`MAX_TAIL_CALL_CNT`).
pub const TAIL_CALLS_MAX: u64 = 33;
/// The most frames of a run that makes tail calls: each takes the frame that it is made in for its first.
pub const FRAMES_MAX_CHAINED: u64 = FRAMES_MAX + TAIL_CALLS_MAX * (FRAMES_MAX - 1);
/// First byte of the frames, which the red zone before the first one comes before.
const FRAMES: u64 = LOCALS + 0x4_0000 + 4096;
/// The context of the program, what R1 holds on entry.
pub const CONTEXT: u64 = LOCALS + 0x1_0000;
/// The largest context.
pub const CONTEXT_MAX: u64 = 1 << 16;

/// The keys that a flow dissector fills in.
pub const FLOW_KEYS: u64 = LOCALS + 0x3_0000;

/// First byte of the window of map values.
pub const MAP_VALUES: u64 = LOCALS + (1 << 36);
/// Bytes of that window, committed as they are touched.
pub const MAP_VALUES_LEN: u64 = 1 << 32;
/// Bytes of red zone after each map element, at least.
pub const RED_ZONE: u64 = 8;

/// First byte of the window of kernel objects, which come and go.
pub const OBJECTS: u64 = LOCALS + (1 << 37);
/// Bytes of that window, committed as they are touched.
pub const OBJECTS_LEN: u64 = 1 << 28;
/// The part of that window where the current task lies with what hangs on it.
pub const TASKS: u64 = OBJECTS + (1 << 26);

/// First byte of the part of that window where the keys lie that walks over maps show.
pub const KEYS: u64 = OBJECTS + OBJECTS_LEN - KEYS_LEN;
/// Bytes of that part: a key of the longest kind for each frame there can be.
pub const KEYS_LEN: u64 = 1 << 26;

/// The address of the first map's handle; handles are names, no memory lies behind them.
pub const MAP_HANDLES: u64 = 1 << 46;
/// Handles lie this power of two apart.
pub const MAP_HANDLE_SHIFT: u32 = 12;

/// What stands for the subprogram at slot 0; that of another slot lies 8 bytes per slot behind. These are names, too.
pub const CODE: u64 = MAP_HANDLES + (1 << 45);

/// The lowest byte of the frame at this depth.
#[inline]
pub const fn frame_bottom(depth: u64) -> u64 {
    FRAMES + depth * FRAME_STRIDE
}
/// What R10 holds at this depth: one past the highest byte of the frame.
#[inline]
pub const fn frame_top(depth: u64) -> u64 {
    frame_bottom(depth) + FRAME_LEN
}
/// The depth of the frame whose [`frame_top`] this is.
pub const fn depth_of_frame(top: u64) -> Option<u64> {
    let distance = top.wrapping_sub(frame_top(0));
    if distance.is_multiple_of(FRAME_STRIDE) && distance / FRAME_STRIDE < FRAMES_MAX_CHAINED {
        Some(distance / FRAME_STRIDE)
    } else {
        None
    }
}
/// What stands for the subprogram at this slot.
pub const fn code_handle(slot: u64) -> u64 {
    CODE + 8 * slot
}
/// The slot of the subprogram that this stands for.
pub const fn slot_of_code(handle: u64) -> Option<u64> {
    let distance = handle.wrapping_sub(CODE);
    if distance.is_multiple_of(8) && distance / 8 < 1 << 32 { Some(distance / 8) } else { None }
}
/// Whether the address lies where handles of maps do.
pub const fn in_map_handles(addr: u64) -> bool {
    addr >= MAP_HANDLES && addr < CODE
}
/// The handle of the map with this index.
pub const fn map_handle(map: u32) -> u64 {
    MAP_HANDLES + ((map as u64) << MAP_HANDLE_SHIFT)
}
/// The index of the map whose handle this is.
pub const fn map_of_handle(handle: u64) -> Option<usize> {
    let distance = handle.wrapping_sub(MAP_HANDLES);
    if distance.trailing_zeros() >= MAP_HANDLE_SHIFT && distance >> MAP_HANDLE_SHIFT < 1 << 32 {
        Some((distance >> MAP_HANDLE_SHIFT) as usize)
    } else {
        None
    }
}

//! What declarations of helpers do not say: which calls belong together.

use semantics::helper::{self, Fact, Helper};
use semantics::insn::{Insn, Opcode, Reg};
use semantics::map::{MapType, ValueFieldKind};
use semantics::program_type::ProgramType;

use super::argument::{Given, number};
use super::maps;
use super::writer::{DATA, Writer};

/// Writes the calls that a helper is part of.
pub(super) type Protocol = fn(&mut Writer<'_>, &'static Helper);

macro_rules! id {
    ($name:literal) => {
        const { helper::id($name) }
    };
}

/// The protocol that this helper is part of, if it cannot be called alone.
pub(super) fn of(id: u32) -> Option<Protocol> {
    let is = |ids: &[u32]| ids.contains(&id);
    Some(match id {
        _ if is(&[id!("spin_lock"), id!("spin_unlock")]) => locked,
        _ if is(&[id!("timer_init"), id!("timer_set_callback"), id!("timer_start"), id!("timer_cancel")]) => timer,
        _ if is(&[id!("ringbuf_reserve"), id!("ringbuf_submit"), id!("ringbuf_discard")]) => record,
        _ if is(&[id!("ringbuf_reserve_dynptr"), id!("ringbuf_submit_dynptr"), id!("ringbuf_discard_dynptr")]) => {
            record_dynptr
        }
        _ if is(&[id!("dynptr_from_mem"), id!("dynptr_read"), id!("dynptr_write"), id!("dynptr_data")]) => local_dynptr,
        _ => return None,
    })
}

/// Whether programs of this type may call the helper, and may have the maps that it needs: programs that trace have no locks and no
/// timers, and those that may sleep no locks (`check_map_prog_compatibility`).
pub(super) fn is_open(helper: &Helper, of: ProgramType) -> bool {
    use ProgramType as T;
    let traces = matches!(of, T::Kprobe | T::Tracepoint | T::PerfEvent | T::RawTracepoint | T::RawTracepointWritable);
    let has_no_lock = traces || matches!(of, T::SocketFilter | T::Syscall);
    let may = match helper.id {
        id if [id!("spin_lock"), id!("spin_unlock")].contains(&id) => !has_no_lock,
        id if [id!("timer_init"), id!("timer_set_callback"), id!("timer_start"), id!("timer_cancel")].contains(&id) => {
            !traces
        }
        _ => true,
    };
    may && helper.fact().is_open_to(of)
}

fn call(writer: &mut Writer<'_>, id: u32) {
    writer.push(Insn::new(Opcode::Call).imm(id as i32));
}

/// The address of a value of a map that holds something of the kernel's, in R8; leaves where there is none.
fn value_in_r8(writer: &mut Writer<'_>, kind: ValueFieldKind) -> usize {
    let there = writer.maps.iter().position(|map| map.fields.iter().any(|field| field.kind == kind));
    let map = there.unwrap_or_else(|| {
        let def = maps::holding(kind, writer.dice);
        writer.add_map(def)
    });
    let key = writer.stack(4, false);
    writer.give(Reg::R2, key);
    writer.wide(Insn::new(Opcode::LddwMap).dst(Reg::R1).imm(map as i32));
    call(writer, id!("map_lookup_elem"));
    writer.unless_null(Reg::R0);
    writer.copy(Reg::R8, Reg::R0);
    map
}

/// Takes a lock, changes what lies under it, gives it back.
fn locked(writer: &mut Writer<'_>, _: &'static Helper) {
    value_in_r8(writer, ValueFieldKind::SpinLock);
    writer.copy(Reg::R1, Reg::R8);
    call(writer, id!("spin_lock"));
    let imm = writer.dice.imm();
    writer.push(Insn::new(Opcode::StDw).dst(Reg::R8).off(8).imm(imm));
    writer.copy(Reg::R1, Reg::R8);
    call(writer, id!("spin_unlock"));
}

/// Some of what is done with a timer, mostly in the order that makes sense.
fn timer(writer: &mut Writer<'_>, _: &'static Helper) {
    let map = value_in_r8(writer, ValueFieldKind::Timer);
    let all = [id!("timer_init"), id!("timer_set_callback"), id!("timer_start"), id!("timer_cancel")];
    for turn in 0..2 + writer.dice.below(4) {
        let id = if writer.dice.chance(3, 4) { all[turn % 4] } else { writer.dice.pick(&all) };
        writer.copy(Reg::R1, Reg::R8);
        match id {
            _ if id == all[0] => {
                writer.wide(Insn::new(Opcode::LddwMap).dst(Reg::R2).imm(map as i32));
                // CLOCK_MONOTONIC, CLOCK_BOOTTIME, and others.
                let clock = writer.dice.pick(&[1, 1, 7, 0, 2, 16]);
                writer.set(Reg::R3, clock);
            }
            _ if id == all[1] => {
                writer.calling(helper::fact(id).expect("a helper of Linux"));
                writer.function(Reg::R2);
            }
            _ if id == all[2] => {
                let time = number(writer.dice);
                writer.give(Reg::R2, Given::Number(time));
                let flags = writer.dice.pick(&[0, 0, 0, 1, 2, 4]);
                writer.set(Reg::R3, flags);
            }
            _ => {}
        }
        call(writer, id);
        writer.keep(Reg::R0);
    }
}

fn ring(writer: &mut Writer<'_>) -> Option<usize> {
    let there = writer.maps.iter().position(|map| map.map_type == MapType::RINGBUF);
    there.or_else(|| writer.map_for(helper::by_id(id!("ringbuf_reserve"))?))
}

/// Flags of what wakes the reader.
fn wakeup(writer: &mut Writer<'_>, reg: Reg) {
    let flags = writer.dice.pick(&[0, 0, 1, 2, 3, 4]);
    writer.set(reg, flags);
}

/// Reserves a record, writes into it, and submits it or not.
fn record(writer: &mut Writer<'_>, _: &'static Helper) {
    let Some(ring) = ring(writer) else { return };
    let len = writer.dice.pick(&[1, 7, 8, 16, 64, 1000, 2040, 4088, 4089, 4096]);
    writer.wide(Insn::new(Opcode::LddwMap).dst(Reg::R1).imm(ring as i32));
    writer.set(Reg::R2, len);
    let flags = writer.dice.pick(&[0, 0, 0, 0, 0, 1]);
    writer.set(Reg::R3, flags);
    call(writer, id!("ringbuf_reserve"));
    writer.unless_null(Reg::R0);
    // What is not written is left from before.
    let imm = writer.dice.below(256) as i32;
    writer.push(Insn::new(Opcode::StB).dst(Reg::R0).imm(imm));
    writer.push(Insn::new(Opcode::StB).dst(Reg::R0).off((len - 1) as i16).imm(imm));
    writer.copy(Reg::R1, Reg::R0);
    wakeup(writer, Reg::R2);
    let end = writer.dice.pick(&[id!("ringbuf_submit"), id!("ringbuf_submit"), id!("ringbuf_discard")]);
    call(writer, end);
}

/// Where dynptrs lie, in bytes below the top of the frame.
const DYNPTR: i32 = 240;

fn dynptr(writer: &mut Writer<'_>, reg: Reg) {
    writer.address(reg, Reg::FP, -DYNPTR);
}

/// The place of a dynptr becomes memory again, where a dynptr can be made.
fn forget_dynptr(writer: &mut Writer<'_>) {
    for off in [DYNPTR, DYNPTR - 8] {
        writer.push(Insn::new(Opcode::StDw).dst(Reg::FP).off(-off as i16));
    }
}

/// The same with a dynptr.
fn record_dynptr(writer: &mut Writer<'_>, _: &'static Helper) {
    let Some(ring) = ring(writer) else { return };
    forget_dynptr(writer);
    writer.wide(Insn::new(Opcode::LddwMap).dst(Reg::R1).imm(ring as i32));
    let len = writer.dice.pick(&[0, 1, 8, 16, 100, 2000, 4088, 5000]);
    writer.set(Reg::R2, len);
    let flags = writer.dice.pick(&[0, 0, 0, 1]);
    writer.set(Reg::R3, flags);
    dynptr(writer, Reg::R4);
    call(writer, id!("ringbuf_reserve_dynptr"));
    writer.keep(Reg::R0);
    accesses(writer);
    dynptr(writer, Reg::R1);
    wakeup(writer, Reg::R2);
    let end = writer.dice.pick(&[id!("ringbuf_submit_dynptr"), id!("ringbuf_discard_dynptr")]);
    call(writer, end);
}

/// A dynptr of the data, and accesses through it.
fn local_dynptr(writer: &mut Writer<'_>, _: &'static Helper) {
    forget_dynptr(writer);
    let len = writer.dice.pick(&[1, 8, 16, 32]);
    writer.address(Reg::R1, DATA, (maps::DATA_LEN as i32) - len);
    writer.set(Reg::R2, len);
    let flags = writer.dice.pick(&[0, 0, 0, 1]);
    writer.set(Reg::R3, flags);
    dynptr(writer, Reg::R4);
    call(writer, id!("dynptr_from_mem"));
    writer.keep(Reg::R0);
    accesses(writer);
}

/// Reads, writes and slices of a dynptr, in bounds or not.
fn accesses(writer: &mut Writer<'_>) {
    for _ in 0..writer.dice.below(4) {
        let offset = writer.dice.pick(&[0, 0, 1, 8, 15, 16, 100, 0xffff]);
        let len = writer.dice.pick(&[1, 8, 8, 16]);
        match writer.dice.below(3) {
            0 => {
                let memory = writer.stack(16, true);
                writer.give(Reg::R1, memory);
                writer.set(Reg::R2, len);
                dynptr(writer, Reg::R3);
                writer.set(Reg::R4, offset);
                writer.set(Reg::R5, 0);
                call(writer, id!("dynptr_read"));
                writer.keep(Reg::R0);
            }
            1 => {
                let memory = writer.stack(16, false);
                dynptr(writer, Reg::R1);
                writer.set(Reg::R2, offset);
                writer.give(Reg::R3, memory);
                writer.set(Reg::R4, len);
                let flags = writer.dice.pick(&[0, 0, 0, 1]);
                writer.set(Reg::R5, flags);
                call(writer, id!("dynptr_write"));
                writer.keep(Reg::R0);
            }
            _ => {
                dynptr(writer, Reg::R1);
                writer.set(Reg::R2, offset);
                writer.set(Reg::R3, len);
                call(writer, id!("dynptr_data"));
                // Over the access alone: the dynptr is given back in any case.
                writer.push(Insn::new(Opcode::Jeq64K).dst(Reg::R0).off(2));
                writer.push(Insn::new(Opcode::LdxB).dst(Reg::R1).src(Reg::R0).off((len - 1) as i16));
                writer.push(Insn::new(Opcode::StxB).dst(Reg::R0).src(Reg::R1));
            }
        }
    }
}

/// Writes a function that this helper calls back.
pub(super) fn called_back(writer: &mut Writer<'_>, fact: &Fact) {
    let is_timer = fact.id == id!("timer_set_callback");
    if fact.id == id!("for_each_map_elem") && writer.dice.chance(1, 2) {
        // The value: an 8-byte number in all maps that generated programs have.
        writer.push(Insn::new(Opcode::LdxB).dst(Reg::R0).src(Reg::R3));
        writer.push(Insn::new(Opcode::StxB).dst(Reg::R3).src(Reg::R0).off(1));
    }
    let end = if is_timer { 0 } else { writer.dice.pick(&[0, 0, 0, 1]) };
    if fact.id == id!("loop") {
        // Ends after some turns.
        let turns = writer.dice.below(40) as i32;
        writer.set(Reg::R0, 0);
        writer.push(Insn::new(Opcode::Jlt64K).dst(Reg::R1).imm(turns).off(1));
        writer.set(Reg::R0, 1);
    } else {
        writer.set(Reg::R0, end);
    }
    writer.push(Insn::new(Opcode::Exit));
}

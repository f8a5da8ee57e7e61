//! What programs find in their contexts: the model sets up what `BPF_PROG_TEST_RUN` of a real kernel does.

mod common;

use corpus::case::{Case, Code, Run};
use linux::job::{Wanted, not_run, of_case};
use linux::{Kernel, Machine, Settings, kernel};
use semantics::insn::Size;
use semantics::interpreter;
use semantics::map::{MapDef, MapType};
use semantics::memory::{Memory, Object};
use semantics::program_type::{FieldKind, ProgramType};
use semantics::world::{Input, World};
use wire::{Engine, Job};

/// Types whose test run takes a packet.
const TYPES: [ProgramType; 9] = [
    ProgramType::SocketFilter,
    ProgramType::SchedCls,
    ProgramType::SchedAct,
    ProgramType::Xdp,
    ProgramType::CgroupSkb,
    ProgramType::LwtIn,
    ProgramType::LwtOut,
    ProgramType::LwtXmit,
    ProgramType::FlowDissector,
];

/// What the code leaves in R7 is stored, since a result may be restricted.
fn case(program_type: ProgramType, name: &str, read: &str, inputs: &[Input]) -> Case {
    let keep = "*(u32 *)(r10 - 4) = 0; *(u64 *)(r10 - 16) = r7; r1 = map[seen]; r2 = r10; r2 += -4; r3 = r10; r3 += -16; \
                r4 = 0; call map_update_elem; r0 = 0; exit";
    let maps = vec![MapDef::new("seen", MapType::ARRAY, 4, 8, 1)];
    let runs = inputs.iter().map(|input| Run { input: input.clone(), ..Run::default() }).collect();
    let code = Code::Asm(format!("{read}; {keep}"));
    Case { program_type, runs, ..Case::new(format!("{program_type}: {name}"), maps, code) }
}

/// One program for each number that it may read, and for each way to its packet.
fn cases(program_type: ProgramType, inputs: &[Input]) -> Vec<Case> {
    let declaration = program_type.declaration();
    let mut all = Vec::new();
    for field in declaration.fields.iter().filter(|field| field.kind == FieldKind::Scalar) {
        for offset in (field.offset..field.offset + field.len).step_by(field.element as usize) {
            let size = if field.element == 8 { Size::Dw } else { Size::W };
            if declaration.access(None, i64::from(offset), size, false).is_some() {
                let width = if size == Size::Dw { "u64" } else { "u32" };
                let read = format!("r7 = *({width} *)(r1 + {offset})");
                all.push(case(program_type, &format!("{}+{}", field.name, offset - field.offset), &read, inputs));
            }
        }
    }
    let pointer = |name: &str| declaration.field(name).filter(|field| field.kind != FieldKind::Scalar);
    if let (Some(data), Some(end)) = (pointer("data"), pointer("data_end")) {
        let (data, end) = (data.offset, end.offset);
        let pointers = format!("r7 = *(u32 *)(r1 + {end}); r2 = *(u32 *)(r1 + {data})");
        all.push(case(program_type, "length of the data", &format!("{pointers}; r7 -= r2"), inputs));
        let first = format!("{pointers}; r3 = r2; r3 += 1; r4 = -1; if r3 > r7 goto +1; r4 = *(u8 *)(r2 + 0); r7 = r4");
        all.push(case(program_type, "first byte of the data", &first, inputs));
    }
    if [ProgramType::SocketFilter, ProgramType::SchedCls, ProgramType::SchedAct].contains(&program_type) {
        let net = -0x10_0000;
        let link = -0x20_0000;
        for at in [0, 1, 13, 14, 33, 49, 50, 63, 64, net, net + 1, net + 19, net + 63, link, link + 14, link - 1, -1] {
            for width in ["u8", "u16", "u32"] {
                let read = format!("r7 = -1; r6 = r1; r0 = *({width} *)skb[{at}]; r7 = r0");
                all.push(case(program_type, &format!("{width} at {at}"), &read, inputs));
            }
        }
    }
    all
}

fn inputs(program_type: ProgramType) -> Vec<Input> {
    let packet = |len: u8, head: &[u8], protocol: [u8; 2]| {
        let mut packet: Vec<u8> = (0..len).map(|at| at.wrapping_mul(7).wrapping_add(1)).collect();
        packet[..head.len()].copy_from_slice(head);
        packet[12..14].copy_from_slice(&protocol);
        packet
    };
    let (ip4, ip6) = ([0x08, 0x00], [0x86, 0xdd]);
    let packets = [
        packet(64, &[], [0x12, 0x34]),
        packet(64, &[0; 6], ip4),
        packet(64, &[0xff; 6], ip6),
        packet(34, &[2, 0, 0, 0, 0, 0], ip4),
        packet(33, &[1, 0, 0, 0, 0, 0], ip4),
        packet(53, &[0; 12], ip6),
        packet(15, &[0; 12], [0x88, 0xa8]),
        packet(14, &[0; 12], [0, 4]),
        vec![0; 64],
    ];
    let mut inputs: Vec<Input> =
        packets.iter().map(|packet| Input { packet: packet.clone(), ..Input::default() }).collect();
    let stated: &[&[(&str, u64)]] = match program_type {
        ProgramType::Xdp => &[&[("ingress_ifindex", 1)], &[("rx_queue_index", 0)]],
        ProgramType::FlowDissector => &[],
        _ => &[
            &[("mark", 0x1234_5678), ("priority", 7)],
            &[("cb[0]", 1), ("cb[4]", 0xffff_ffff), ("tstamp", 0x0123_4567_89ab_cdef)],
            &[("wire_len", 100), ("gso_segs", 3), ("gso_size", 10)],
            &[("ifindex", 1), ("ingress_ifindex", 1), ("hwtstamp", 9)],
        ],
    };
    let declaration = program_type.declaration();
    for fields in stated {
        let context = fields.iter().filter(|(name, _)| declaration.place(name).is_some());
        let context: Vec<(String, u64)> = context.map(|(name, value)| ((*name).to_owned(), *value)).collect();
        inputs.push(Input { packet: packets[1].clone(), context, ..Input::default() });
    }
    inputs.retain(|input| not_run(program_type, input).is_none());
    inputs
}

/// What the model's program leaves in the map, for each input.
fn ours(world: &mut World, case: &Case) -> Vec<Result<u64, String>> {
    let program = case.program().expect("a program");
    world.load(&program).expect("a world");
    let run = |run: &Run| {
        world.reset(&run.input).map_err(|error| error.to_string())?;
        let stop = interpreter::run(&program, world, 1000, &mut ());
        let outcome = world.outcome(stop.result);
        outcome.result.map_err(|trap| trap.to_string())?;
        let seen = outcome.objects().find(|piece| piece.object == Object::MapValue(0)).expect("a value");
        Ok(u64::from_le_bytes(seen.bytes.try_into().expect("8 bytes")))
    };
    case.runs.iter().map(run).collect()
}

#[test]
fn the_model_sets_contexts_up_as_test_runs_do() {
    let Some(default) = common::kernel() else { return };
    let version = std::env::var("TOUCHSTONE_SUITES_KERNEL").unwrap_or(default.version);
    let kernel = Kernel::find(&kernel::folder(), &version).expect("a kernel");
    let wanted = Wanted { engines: vec![Engine::Jit], kernel: kernel.number(), ..Wanted::default() };
    // Before Linux 7 the end of the data of a program that is not attached was left as it was.
    let has_data = |case: &Case| {
        kernel.number() >= (7, 0) || case.program_type != ProgramType::CgroupSkb || !case.name.ends_with("of the data")
    };
    let cases: Vec<Case> = TYPES.into_iter().flat_map(|of| cases(of, &inputs(of))).filter(has_data).collect();
    let jobs: Vec<Job> = cases.iter().map(|case| of_case(case, &wanted).expect("a job")).collect();
    let mut world = World::new(Memory::detached().expect("memory"));
    let mut machine = Machine::new(kernel, Settings::default());
    let (mut compared, mut different, mut refused) = (0, Vec::new(), Vec::new());
    let each = &mut |at: usize, given: linux::Given| {
        let (case, trial) = (&cases[at], given.expect("an answer").trials.remove(0));
        if trial.load.result.is_err() {
            refused.push(format!(
                "{}: {:?} {}",
                case.name,
                trial.load.result,
                trial.load.log.lines().rev().nth(1).unwrap_or_default()
            ));
            return;
        }
        let theirs = trial.runs.iter().map(|ran| {
            let ran = ran.as_ref().map_err(|errno| format!("error {errno}"))?;
            let (_, value) = &ran.maps[0].as_ref().map_err(|errno| format!("map: error {errno}"))?[0];
            Ok::<u64, String>(u64::from_le_bytes(value.as_slice().try_into().expect("8 bytes")))
        });
        for ((ours, theirs), run) in ours(&mut world, case).into_iter().zip(theirs).zip(&case.runs) {
            compared += 1;
            if ours != theirs {
                let (len, head) = (run.input.packet.len(), &run.input.packet[12..14]);
                different.push(format!(
                    "{}: {len} bytes, {head:02x?}, {:?}: ours {ours:x?}, theirs {theirs:x?}",
                    case.name, run.input.context
                ));
            }
        }
    };
    machine.ask(&jobs, each).expect("a guest");
    println!("{compared} compared, {} refused:\n{}", refused.len(), refused.join("\n"));
    assert!(compared > 500, "{compared}");
    assert!(
        refused.iter().all(|name| name.starts_with("socket_filter: ") && name.contains("of the data")),
        "{refused:?}"
    );
    // A case of another number than theirs would be seen.
    let wrong = case(ProgramType::SocketFilter, "mark", "r7 = 1", &inputs(ProgramType::SocketFilter)[..1]);
    assert_eq!(ours(&mut world, &wrong), [Ok(1)]);
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

//! Program types: the table, the declarations, the defaults, and a run of each type.

use semantics::asm;
use semantics::insn::Size;
use semantics::interpreter;
use semantics::memory::{Access, Memory, Object, layout};
use semantics::outcome::Difference;
use semantics::program::Program;
use semantics::program_type::{AttachType, ContextField, FieldAccess, FieldKind, ProgramType, context};
use semantics::trap::{Trap, Unsupported};
use semantics::world::{Input, InputError, World};

/// Runs a program and returns its result.
fn run(
    program_type: ProgramType,
    attach: Option<AttachType>,
    text: &str,
    input: &Input,
) -> Result<Result<u64, Trap>, InputError> {
    let insns = asm::assemble(text).expect(text);
    let program = Program::new("p", program_type, "GPL", vec![], insns).expect(text).with_attach(attach);
    let mut world = World::new(Memory::detached().expect("guest memory"));
    world.load(&program).expect("no maps");
    world.reset(input)?;
    Ok(interpreter::run(&program, &mut world, 100, &mut ()).result)
}

fn load(
    program_type: ProgramType,
    attach: Option<AttachType>,
    size: &str,
    offset: u32,
    input: &Input,
) -> Result<u64, Trap> {
    run(program_type, attach, &format!("r0 = *({size} *)(r1 + {offset})\n exit"), input).expect("the input fits")
}

/// A TCP segment over IPv4 from 10.0.0.1 to 10.0.0.2.
fn tcp() -> Vec<u8> {
    let mut packet = vec![0; 14 + 40];
    packet[12..14].copy_from_slice(&[0x08, 0x00]);
    packet[14] = 0x45;
    packet[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    packet
}

#[test]
fn types_are_numbered_and_named_as_in_the_kernel() {
    assert_eq!(ProgramType::ALL.len(), 32);
    for (at, of) in ProgramType::ALL.into_iter().enumerate() {
        assert_eq!(of.id() as usize, at + 1);
        assert_eq!(ProgramType::from_id(of.id()), Some(of));
        assert_eq!(ProgramType::from_name(of.name()), Some(of));
        let declaration = of.declaration();
        assert_eq!(declaration.program_type, of);
        assert_eq!(declaration.context, of.fact().context);
        assert!(declaration.attach.is_none_or(|attach| of.fact().attach_types.contains(&attach)), "{of}");
    }
    assert_eq!(
        (ProgramType::from_id(0), ProgramType::from_id(33), ProgramType::from_name("unspec")),
        (None, None, None)
    );
    let spots = [(1, "socket_filter"), (6, "xdp"), (18, "cgroup_sock_addr"), (28, "ext"), (32, "netfilter")];
    assert!(spots.into_iter().all(|(id, name)| ProgramType::from_id(id).map(ProgramType::name) == Some(name)));
    let tested = ProgramType::ALL.into_iter().filter(|of| of.fact().test_run.is_some()).count();
    assert_eq!(tested, 16);
}

#[test]
fn results_depend_on_the_attach_type() {
    let range = |of: ProgramType, attach| of.declaration().results(attach).map(|r| (r.least, r.greatest));
    assert_eq!(range(ProgramType::Xdp, None), None);
    assert_eq!(range(ProgramType::CgroupSkb, None), Some((0, 1)));
    assert_eq!(range(ProgramType::CgroupSkb, Some(AttachType::CgroupInetEgress)), Some((0, 3)));
    assert_eq!(range(ProgramType::CgroupSockAddr, Some(AttachType::CgroupInet6Bind)), Some((0, 3)));
    assert_eq!(range(ProgramType::CgroupSockAddr, Some(AttachType::CgroupUdp4Recvmsg)), Some((1, 1)));
    assert_eq!(range(ProgramType::CgroupSockAddr, Some(AttachType::CgroupInet4Connect)), Some((0, 1)));
    assert_eq!(range(ProgramType::Tracing, Some(AttachType::TraceFexit)), Some((0, 0)));
    assert_eq!(range(ProgramType::Tracing, Some(AttachType::ModifyReturn)), None);
}

#[test]
fn fields_lie_inside_their_context_and_apart() {
    for of in ProgramType::ALL {
        let declaration = of.declaration();
        assert!(u64::from(declaration.context_len) <= layout::CONTEXT_MAX, "{of}");
        let fields = declaration.fields;
        assert!(!fields.is_empty(), "{of}");
        for (at, field) in fields.iter().enumerate() {
            let name = field.name;
            assert!(field.len > 0 && field.offset + field.len <= declaration.context_len, "{of}: {name}");
            assert!(field.element > 0 && field.len % field.element == 0, "{of}: {name}");
            for other in &fields[..at] {
                assert_ne!(other.name, name, "{of}");
                let apart = other.offset + other.len <= field.offset || field.offset + field.len <= other.offset;
                assert!(apart || (field.shared && other.shared), "{of}: {name} lies on {}", other.name);
            }
        }
    }
}

/// Every aligned access to every context: what the declarations permit stays in a field, and the counts are these.
#[test]
fn rights_are_those_of_the_kernel() {
    let rights = |of: ProgramType, attach, write| {
        let declaration = of.declaration();
        let permitted = |size: Size| {
            let at = |offset: &u32| declaration.access(attach, i64::from(*offset), size, write).is_some();
            (0..declaration.context_len + 8).filter(at).count()
        };
        Size::ALL.map(permitted)
    };
    let none = [0; 4];
    // 21 words; of the five of `cb`, four are two double words; `sk` is a third.
    assert_eq!(rights(ProgramType::SocketFilter, None, false), [84, 42, 21, 3]);
    assert_eq!(rights(ProgramType::SocketFilter, None, true), [20, 10, 5, 2]);
    assert_eq!(rights(ProgramType::Xdp, None, false), [0, 0, 5, 0]);
    assert_eq!(rights(ProgramType::Xdp, Some(AttachType::XdpDevmap), false), [0, 0, 6, 0]);
    assert_eq!(rights(ProgramType::Xdp, None, true), none);
    assert_eq!(rights(ProgramType::Kprobe, None, false), [168, 84, 42, 21]);
    assert_eq!(rights(ProgramType::PerfEvent, None, false), [16, 8, 4, 23]);
    assert_eq!(rights(ProgramType::Tracepoint, None, false), [8184, 4092, 2046, 1023]);
    assert_eq!(rights(ProgramType::RawTracepoint, None, false), [96, 48, 24, 12]);
    assert_eq!(rights(ProgramType::RawTracepointWritable, None, false), [88, 44, 22, 12]);
    assert_eq!(rights(ProgramType::Tracing, None, false), [12, 12, 12, 12]);
    assert_eq!(rights(ProgramType::FlowDissector, None, false), [0, 0, 2, 1]);
    assert_eq!(rights(ProgramType::LircMode2, None, false), [0, 0, 1, 0]);
    assert_eq!(rights(ProgramType::CgroupSysctl, None, false), [8, 4, 2, 0]);
    assert_eq!(rights(ProgramType::CgroupSysctl, None, true), [0, 0, 1, 0]);
    assert_eq!(rights(ProgramType::CgroupDevice, None, false), [4, 2, 3, 0]);
    assert_eq!(rights(ProgramType::SkLookup, None, false), [60, 30, 15, 1]);
    assert_eq!(rights(ProgramType::SkReuseport, None, false), [12, 8, 5, 4]);
    assert_eq!(rights(ProgramType::Netfilter, None, false), [0, 0, 0, 2]);
    assert_eq!(rights(ProgramType::SockOps, None, false), [1, 1, 44, 6]);
    assert_eq!(rights(ProgramType::SockOps, None, true), [0, 0, 2, 0]);
    assert_eq!(rights(ProgramType::SkMsg, None, false), [0, 0, 14, 3]);
    assert_eq!(rights(ProgramType::Syscall, None, true), [65_535, 32_767, 16_383, 8191]);
    // Those with many guarded fields.
    assert_eq!(rights(ProgramType::SchedCls, None, false), [93, 46, 26, 5]);
    assert_eq!(rights(ProgramType::SchedCls, None, true), [20, 10, 10, 3]);
    assert_eq!(rights(ProgramType::CgroupSkb, None, false), [96, 48, 36, 5]);
    assert_eq!(rights(ProgramType::LwtIn, None, false), [84, 42, 23, 3]);
    assert_eq!(rights(ProgramType::SkSkb, None, false), [92, 46, 35, 3]);
    assert_eq!(rights(ProgramType::CgroupSock, None, false), [27, 16, 14, 0]);
    assert_eq!(rights(ProgramType::CgroupSockAddr, None, false), [4, 2, 5, 1]);
    assert_eq!(rights(ProgramType::CgroupSockAddr, Some(AttachType::CgroupUdp6Sendmsg), false), [36, 18, 13, 4]);
    assert_eq!(rights(ProgramType::CgroupSockopt, Some(AttachType::CgroupGetsockopt), false), [0, 0, 4, 3]);
}

#[test]
fn guarded_fields_follow_the_attach_type() {
    use AttachType as A;
    let permits = |of: ProgramType, attach, name: &str, write| {
        let field = of.declaration().field(name).unwrap_or_else(|| panic!("{name}"));
        of.declaration().access(attach, i64::from(field.offset), Size::W, write).is_some()
    };
    for (attach, four, six) in [
        (None, false, false),
        (Some(A::CgroupInet4Connect), true, false),
        (Some(A::CgroupUdp6Sendmsg), false, true),
        (Some(A::CgroupUnixConnect), false, false),
    ] {
        let of = ProgramType::CgroupSockAddr;
        assert_eq!((permits(of, attach, "user_ip4", false), permits(of, attach, "user_ip6", true)), (four, six));
        assert!(permits(of, attach, "user_family", false) && !permits(of, attach, "user_family", true));
        assert_eq!(permits(of, attach, "msg_src_ip6", true), six, "only udp6_sendmsg is among these");
    }
    let of = ProgramType::CgroupSock;
    assert!(permits(of, None, "mark", true), "without an attach type, sockets are created");
    assert!(!permits(of, Some(A::CgroupInet4PostBind), "mark", false));
    assert!(permits(of, Some(A::CgroupInet4PostBind), "src_port", false));
    assert!(!permits(of, Some(A::CgroupInet4PostBind), "src_ip6", false));
    let of = ProgramType::CgroupSockopt;
    assert!(
        permits(of, Some(A::CgroupSetsockopt), "level", true) && !permits(of, Some(A::CgroupGetsockopt), "level", true)
    );
    assert!(
        permits(of, Some(A::CgroupGetsockopt), "retval", true)
            && !permits(of, Some(A::CgroupSetsockopt), "retval", false)
    );
}

#[test]
fn every_type_runs() {
    for of in ProgramType::ALL {
        let result = run(of, None, "r0 = 7\n exit", &Input { packet: tcp(), ..Input::default() });
        assert_eq!(result, Ok(Ok(7)), "{of}");
        // The default context is there for every field of the type.
        for field in of.declaration().fields {
            let Some(size) = field.read.sizes().last().filter(|_| field.offset % 8 == 0 || field.len < 8) else {
                continue;
            };
            let offset = if let FieldAccess::Behind(hidden) = field.read { hidden } else { field.offset };
            check_default(of, field, size, offset);
        }
    }
}

fn check_default(of: ProgramType, field: &ContextField, size: Size, offset: u32) {
    let attach = field.guard.iter().next().filter(|_| !field.guard.contains(None));
    let name = format!("u{}", 8 * size.bytes());
    let result = load(of, attach, &name, offset, &Input { packet: tcp(), ..Input::default() });
    let context = of.declaration().context;
    match field.kind {
        FieldKind::Scalar => assert!(result.is_ok(), "{of}: {}: {result:?}", field.name),
        FieldKind::Packet => assert!(result.is_ok_and(|addr| addr - layout::PACKET <= 14), "{of}: {}", field.name),
        FieldKind::FlowKeys => assert_eq!(result, Ok(layout::FLOW_KEYS), "{of}: {}", field.name),
        FieldKind::PacketMeta => assert_eq!(result, Ok(layout::PACKET), "{of}: {}", field.name),
        FieldKind::PacketEnd => assert_eq!(result, Ok(layout::PACKET + 54), "{of}: {}", field.name),
        FieldKind::SockCommonOrNull | FieldKind::SockOrNull => assert_eq!(result, Ok(0), "{of}: {}", field.name),
        _ => {
            let lack = Unsupported::ContextField { context, field: field.name };
            assert_eq!(result, Err(Trap::Unsupported(lack)), "{of}: {}", field.name);
        }
    }
}

#[test]
fn what_a_declaration_forbids_is_a_trap() {
    let refused = |of, attach, size: &str, offset| match load(of, attach, size, offset, &Input::default()) {
        Err(Trap::Memory { access, .. }) => access,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(ProgramType::Tracepoint, None, "u64", 0), Access::ContextField);
    assert_eq!(refused(ProgramType::Tracepoint, None, "u32", 4), Access::ContextField);
    assert_eq!(refused(ProgramType::SockOps, None, "u64", 8), Access::ContextField);
    assert_eq!(refused(ProgramType::CgroupSockAddr, None, "u32", 4), Access::ContextField);
    assert_eq!(refused(ProgramType::SkReuseport, None, "u8", 20), Access::ContextField);
    assert_eq!(refused(ProgramType::Netfilter, None, "u64", 16), Access::OutOfBounds);
    let store = run(ProgramType::Kprobe, None, "*(u64 *)(r1 + 0) = r1\n r0 = 0\n exit", &Input::default());
    assert!(matches!(store, Ok(Err(Trap::Memory { access: Access::ContextField, write: true, .. }))), "{store:?}");
}

#[test]
fn socket_buffers_begin_where_the_type_sees_them() {
    let input = Input { packet: tcp(), ..Input::default() };
    let field = |of: ProgramType, name: &str, element: u32| {
        let field = of.declaration().field(name).unwrap_or_else(|| panic!("{name}"));
        load(of, None, "u32", field.offset + 4 * element, &input)
    };
    for (of, len, data) in [
        (ProgramType::SchedCls, 54, 0),
        (ProgramType::SchedAct, 54, 0),
        (ProgramType::CgroupSkb, 40, 14),
        (ProgramType::LwtXmit, 40, 14),
    ] {
        assert_eq!(field(of, "len", 0), Ok(len), "{of}");
        assert_eq!(field(of, "data", 0), Ok(layout::PACKET + data), "{of}");
        assert_eq!(field(of, "protocol", 0), Ok(8), "{of}");
        assert_eq!(field(of, "ifindex", 0), Ok(1), "{of}");
    }
    assert_eq!(field(ProgramType::CgroupSkb, "family", 0), Ok(2));
    assert_eq!(field(ProgramType::CgroupSkb, "local_ip4", 0), Ok(u64::from(u32::from_le_bytes([10, 0, 0, 1]))));
    assert_eq!(field(ProgramType::CgroupSkb, "remote_ip4", 0), Ok(u64::from(u32::from_le_bytes([10, 0, 0, 2]))));

    let mut packet = vec![0; 54];
    packet[12..14].copy_from_slice(&[0x86, 0xdd]);
    packet[14 + 8..54].copy_from_slice(&(0..32).collect::<Vec<u8>>());
    let input = Input { packet, ..Input::default() };
    let remote = ProgramType::CgroupSkb.declaration().field("remote_ip6").expect("a field");
    let last = load(ProgramType::CgroupSkb, None, "u32", remote.offset + 12, &input);
    assert_eq!(last, Ok(u64::from(u32::from_le_bytes([28, 29, 30, 31]))));
}

#[test]
fn inputs_set_fields_elements_and_memory() {
    let set = |name: &str, value| Input { context: vec![(name.to_owned(), value)], ..Input::default() };
    let wide = 0x1122_3344_5566_7788;
    assert_eq!(load(ProgramType::Kprobe, None, "u64", 112, &set("di", wide)), Ok(wide));
    assert_eq!(load(ProgramType::PerfEvent, None, "u64", 128, &set("regs.ip", wide)), Ok(wide));
    assert_eq!(load(ProgramType::RawTracepoint, None, "u64", 16, &set("args[2]", wide)), Ok(wide));
    assert_eq!(load(ProgramType::Tracing, None, "u64", 88, &set("args[11]", wide)), Ok(wide));
    assert_eq!(load(ProgramType::Tracepoint, None, "u32", 20, &set("u32[5]", 7)), Ok(7));
    assert_eq!(load(ProgramType::Syscall, None, "u8", 32_767, &set("u8[32767]", 9)), Ok(9));
    assert_eq!(load(ProgramType::SocketFilter, None, "u32", 52, &set("cb[1]", 5)), Ok(5));
    assert_eq!(load(ProgramType::SocketFilter, None, "u64", 48, &set("cb", wide)), Ok(wide));
    assert_eq!(load(ProgramType::SkLookup, None, "u32", 36, &set("remote_port", 80)), Ok(80));

    let refused = |of, input: &Input| run(of, None, "r0 = 0\n exit", input).expect_err("the input does not fit");
    for (of, name) in [
        (ProgramType::Xdp, "data"),
        (ProgramType::SchedCls, "sk"),
        (ProgramType::SocketFilter, "tstamp"),
        (ProgramType::SocketFilter, "cb[5]"),
        (ProgramType::SocketFilter, "cb[-1]"),
        (ProgramType::SocketFilter, "mark[0]"),
        (ProgramType::Kprobe, "rdi"),
        (ProgramType::RawTracepointWritable, "args[0]"),
        (ProgramType::Ext, "target"),
    ] {
        let context = of.declaration().context;
        assert_eq!(refused(of, &set(name, 0)), InputError::NoSuchField { context, name: name.to_owned() }, "{of}");
    }
    let narrow = refused(ProgramType::SocketFilter, &set("cb[1]", 1 << 32));
    assert_eq!(narrow, InputError::FieldTooNarrow { name: "cb[1]".to_owned(), len: 4, value: 1 << 32 });
}

#[test]
fn flow_dissectors_fill_in_keys() {
    let insns = asm::assemble(
        "r2 = *(u64 *)(r1 + 144)
         r0 = *(u16 *)(r2 + 0)
         r3 = *(u16 *)(r2 + 10)
         r0 += r3
         *(u8 *)(r2 + 9) = 6
         exit",
    )
    .expect("it assembles");
    let program = Program::new("p", ProgramType::FlowDissector, "GPL", vec![], insns).expect("a program");
    let mut world = World::new(Memory::detached().expect("guest memory"));
    world.load(&program).expect("no maps");
    for _ in 0..2 {
        world.reset(&Input { packet: tcp(), ..Input::default() }).expect("the input fits");
        let before = world.outcome(Ok(0));
        assert_eq!(interpreter::run(&program, &mut world, 100, &mut ()).result, Ok(14 + 8), "nhoff and n_proto");
        let changed = before.difference(&world.outcome(Ok(0)));
        assert!(matches!(changed, Some(Difference::Byte { object: Object::FlowKeys, .. })), "{changed:?}");
    }
    let beyond = load(ProgramType::SchedCls, None, "u64", 144, &Input::default());
    assert!(matches!(beyond, Err(Trap::Memory { access: Access::ContextField, .. })), "others have no keys");
    let text = "r2 = *(u64 *)(r1 + 144)\n r0 = *(u8 *)(r2 + 56)\n exit";
    let outside = run(ProgramType::FlowDissector, None, text, &Input::default());
    assert!(matches!(outside, Ok(Err(Trap::Memory { access: Access::OutOfBounds, .. }))), "{outside:?}");
}

#[test]
fn syscall_programs_write_their_memory() {
    let text = "*(u64 *)(r1 + 8) = 258\n r0 = *(u8 *)(r1 + 9)\n exit";
    assert_eq!(run(ProgramType::Syscall, None, text, &Input::default()), Ok(Ok(1)));
    assert_eq!(context::args::MEMORY_LEN, 65_535);
}

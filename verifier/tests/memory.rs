//! Verdicts on accesses to memory beyond the stack: contexts of all types, sockets, objects, values of maps, packets.

use semantics::asm::assemble;
use semantics::map::{Contents, MapDef, MapType, RDONLY_PROG, ValueField, ValueFieldKind, WRONLY_PROG};
use semantics::program::{Load, Program};
use semantics::program_type::{AttachType, ProgramType};
use std::sync::Arc;
use verifier::{Dialect, Options, Verdict, verify};

struct Trial {
    program_type: ProgramType,
    maps: Vec<MapDef>,
    load: Load,
}

fn of(program_type: ProgramType) -> Trial {
    Trial { program_type, maps: vec![MapDef::new("m", MapType::ARRAY, 4, 16, 1)], load: Load::default() }
}

impl Trial {
    fn map(mut self, change: impl Fn(&mut MapDef)) -> Trial {
        self.maps.iter_mut().for_each(change);
        self
    }
    fn load(mut self, change: impl Fn(&mut Load)) -> Trial {
        change(&mut self.load);
        self
    }
    /// What Linux 6.1 says; nothing where it accepts.
    fn message(&self, text: &str) -> String {
        let insns = assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let program = Program::new("p", self.program_type, "GPL", self.maps.clone(), insns).unwrap();
        let program = Arc::new(program.with_load(self.load.clone()));
        match verify(&program, &Options { dialect: Dialect::V6_1, ..Options::default() }) {
            Verdict::Accept(_) => String::new(),
            Verdict::Reject(rejection) => rejection.message(),
            Verdict::Unsupported(unsupported) => panic!("{unsupported}"),
        }
    }
    #[track_caller]
    fn accepts(&self, text: &str) {
        assert_eq!(self.message(text), "", "{text}");
    }
    #[track_caller]
    fn rejects(&self, expected: &str, text: &str) {
        assert_eq!(self.message(text), expected, "{text}");
    }
}

#[test]
fn sockets_are_checked_for_null_and_read_by_field() {
    let skb = of(ProgramType::CgroupSkb);
    let checked =
        |then: &str| format!("r1 = *(u64 *)(r1 + 168)\n r0 = 0\n if r1 == 0 goto out\n {then}\n out: r0 = 0\n exit");
    skb.rejects(
        "R1 invalid mem access 'sock_common_or_null'",
        "r1 = *(u64 *)(r1 + 168)\n r0 = *(u32 *)(r1 + 4)\n exit",
    );
    skb.accepts(&checked("r0 = *(u32 *)(r1 + 4)"));
    skb.rejects("R1 invalid sock_common access off=8 size=4", &checked("r0 = *(u32 *)(r1 + 8)"));
    skb.rejects("R1 cannot write into sock_common", &checked("*(u32 *)(r1 + 4) = r0"));
    skb.rejects("R1 pointer arithmetic on sock_common prohibited", &checked("r1 += 8"));
    skb.rejects("BPF_ATOMIC stores into R1 sock_common is not allowed", &checked("lock *(u32 *)(r1 + 4) += r0"));
}

#[test]
fn an_instruction_reads_one_kind_of_object() {
    let text = "r2 = *(u64 *)(r1 + 168)\n r0 = 0\n if r2 == 0 goto other\n goto read\n other: r2 = r1\n read: r0 = *(u32 *)(r2 + 4)\n r0 = 0\n exit";
    of(ProgramType::CgroupSkb).rejects("same insn cannot be used with different pointers", text);
}

#[test]
fn results_depend_on_type_and_attachment() {
    let value = |n| format!("r0 = {n}\n exit");
    let skb = |attach| of(ProgramType::CgroupSkb).load(move |load| load.attach_type = Some(attach));
    skb(AttachType::CgroupInetIngress).accepts(&value(1));
    skb(AttachType::CgroupInetEgress).accepts(&value(3));
    let message = "At program exit the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)";
    skb(AttachType::CgroupInetIngress).rejects(message, &value(2));
    let pointer = "At program exit the register R0 is not a known value (ctx)";
    of(ProgramType::CgroupSock).rejects(pointer, "r0 = r1\n exit");
    of(ProgramType::SchedCls).accepts("r0 = r1\n exit");
}

#[test]
fn alignment_counts_where_it_is_asked_for() {
    let (plain, strict) =
        (of(ProgramType::SchedCls), of(ProgramType::SchedCls).load(|load| load.strict_alignment = true));
    let packet = "r2 = *(u32 *)(r1 + 76)\n r3 = *(u32 *)(r1 + 80)\n r4 = r2\n r4 += 8\n r0 = 0\n if r4 > r3 goto out\n r0 = *(u32 *)(r2 + 0)\n out: exit";
    plain.accepts(packet);
    strict.rejects("misaligned packet access off 2+(0x0; 0x0)+0+0 size 4", packet);
    let value = "r1 = map[0][0]+0x4 ll\n r0 = *(u32 *)(r1 + 1)\n exit";
    plain.accepts(value);
    strict.rejects("misaligned value access off (0x0; 0x0)+4+1 size 4", value);
}

const LOOKUP: &str = "*(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n r1 = map 0 ll\n call 1\n if r0 == 0 goto out";

fn with_value(then: &str) -> String {
    format!("r6 = r1\n {LOOKUP}\n {then}\n out: r0 = 0\n exit")
}

#[test]
fn flags_of_maps_are_rights_of_programs() {
    let (load, store) = (with_value("r1 = *(u32 *)(r0 + 4)"), with_value("*(u32 *)(r0 + 4) = r6"));
    let xdp = |flags| of(ProgramType::Xdp).map(move |map| map.flags = flags);
    xdp(0).accepts(&load);
    xdp(RDONLY_PROG).accepts(&load);
    xdp(RDONLY_PROG).rejects("write into map forbidden, value_size=16 off=4 size=4", &store);
    xdp(WRONLY_PROG).rejects("read from map forbidden, value_size=16 off=4 size=4", &load);
}

#[test]
fn what_the_kernel_manages_is_not_touched() {
    let with = |kind, offset, of_type: Option<&str>| {
        let of_type = of_type.map(str::to_owned);
        of(ProgramType::SchedCls).map(move |map| map.fields = vec![ValueField { kind, offset, of: of_type.clone() }])
    };
    let lock = with(ValueFieldKind::SpinLock, 4, None);
    lock.accepts(&with_value("r1 = *(u32 *)(r0 + 0)"));
    lock.rejects("bpf_spin_lock cannot be accessed directly by load/store", &with_value("r1 = *(u64 *)(r0 + 0)"));
    with(ValueFieldKind::Timer, 0, None)
        .rejects("bpf_timer cannot be accessed directly by load/store", &with_value("r1 = *(u8 *)(r0 + 15)"));
    let pointer = with(ValueFieldKind::KptrUntrusted, 8, Some("task_struct"));
    pointer.rejects("kptr access size must be BPF_DW", &with_value("r1 = *(u32 *)(r0 + 8)"));
    pointer.rejects("kptr access misaligned expected=8 off=12", &with_value("r1 = *(u32 *)(r0 + 12)"));
    pointer.rejects(
        "R1 invalid mem access 'untrusted_ptr_or_null_'",
        &with_value("r1 = *(u64 *)(r0 + 8)\n r1 = *(u64 *)(r1 + 0)"),
    );
    pointer.accepts(&with_value("r1 = 0\n *(u64 *)(r0 + 8) = r1"));
    with(ValueFieldKind::Kptr, 8, Some("task_struct"))
        .rejects("store to referenced kptr disallowed", &with_value("r1 = 0\n *(u64 *)(r0 + 8) = r1"));
}

#[test]
fn values_that_never_change_are_constants() {
    let text = with_value("r1 = *(u16 *)(r0 + 2)\n if r1 == 0x4433 goto out\n r0 = *(u32 *)(r10 + 8)");
    let frozen = |flags, frozen| {
        of(ProgramType::Xdp).map(move |map| {
            (map.flags, map.frozen) = (flags, frozen);
            map.contents = Contents::Bytes(vec![0x11, 0x22, 0x33, 0x44]);
        })
    };
    frozen(RDONLY_PROG, true).accepts(&text);
    assert_ne!(frozen(RDONLY_PROG, false).message(&text), "", "user space may change it");
    assert_ne!(frozen(0, true).message(&text), "", "programs may change it");
}

#[test]
fn maps_of_maps_lead_to_maps() {
    let outer = |map: &mut MapDef| {
        map.map_type = MapType::from_name("array_of_maps").unwrap();
        map.value_size = 4;
        map.inner = Some(Box::new(MapDef::new("inner", MapType::ARRAY, 4, 8, 1)));
    };
    let twice = with_value("r1 = r0\n r2 = r10\n r2 += -4\n call 1\n if r0 == 0 goto out\n r1 = *(u64 *)(r0 + 0)");
    of(ProgramType::Xdp).map(outer).accepts(&twice);
    let unchecked = twice.replacen("if r0 == 0 goto out\n r1 = r0", "if r0 == 1 goto out\n r1 = r0", 1);
    let message = of(ProgramType::Xdp).map(outer).message(&unchecked);
    assert!(message.starts_with("R1 type=map_value_or_null expected=map_ptr"), "{message}");
}

#[test]
fn legacy_packet_loads_are_calls() {
    let filter = of(ProgramType::SocketFilter);
    let load = |before: &str, after: &str| format!("{before}\n r0 = *(u8 *)skb[0]\n {after}\n exit");
    filter.accepts(&load("r6 = r1", "r7 = r0"));
    filter.rejects("R6 !read_ok", &load("r7 = 1", "r7 = r0"));
    filter.rejects("at the time of BPF_LD_ABS|IND R6 != pointer to skb", &load("r6 = 1", "r7 = r0"));
    filter.rejects("R1 !read_ok", &load("r6 = r1", "r0 = r1"));
    of(ProgramType::Xdp)
        .rejects("BPF_LD_[ABS|IND] instructions not allowed for this program type", &load("r6 = r1", "r7 = r0"));
    filter.rejects(
        "LD_ABS is not allowed in subprogs without BTF",
        "r6 = r1\n call f\n exit\n f: r0 = *(u8 *)skb[0]\n exit",
    );
}

#[test]
fn what_programs_are_attached_to_decides() {
    let tracing = |attach, to: &'static str, sleepable| {
        of(ProgramType::Tracing).load(move |load| {
            (load.attach_type, load.attach_to, load.sleepable) = (Some(attach), Some(to.to_owned()), sleepable);
        })
    };
    tracing(AttachType::TraceFentry, "bpf_fentry_test1", true).accepts("r0 = 0\n exit");
    tracing(AttachType::TraceFentry, "bpf_fentry_test2", true)
        .rejects("bpf_fentry_test2 is not sleepable", "r0 = 0\n exit");
    let open = tracing(AttachType::TraceFentry, "dentry_open", false);
    open.rejects("only read is supported", "r1 = *(u64 *)(r1 + 0)\n *(u64 *)(r1 + 0) = r1\n r0 = 0\n exit");
    open.rejects("invalid bpf_context access off=24 size=8", "r1 = *(u64 *)(r1 + 24)\n r0 = 0\n exit");
    let message = "Only fentry/fexit/fmod_ret, lsm, and kprobe/uprobe programs can be sleepable";
    of(ProgramType::Xdp).load(|load| load.sleepable = true).rejects(message, "r0 = 0\n exit");
}

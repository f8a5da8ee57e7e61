//! Types for the kernel: of maps whose values it manages parts of, and of functions whose addresses are taken (BTF,
//! Documentation/bpf/btf.rst).

use std::collections::HashMap;

use semantics::map::{MapDef, MapType, ValueField, ValueFieldKind};

/// The number of a type; 0 is `void`.
pub type TypeId = u32;

/// `BTF_KIND_*`.
const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const TYPE_TAG: u32 = 18;

/// `BTF_FUNC_STATIC`: verified where it is called.
const STATIC: u32 = 0;

/// Types, as they are collected. All names are identifiers.
#[derive(Debug)]
pub struct Types {
    records: Vec<u8>,
    /// Names, each with a 0 at its end; the first is empty.
    names: Vec<u8>,
    count: TypeId,
    /// What was made before, by its record.
    known: HashMap<Vec<u8>, TypeId>,
}

impl Default for Types {
    fn default() -> Types {
        Types { records: Vec::new(), names: vec![0], count: 0, known: HashMap::new() }
    }
}

/// A member of a structure: its name, type, and bytes from the start.
type Member<'a> = (&'a str, TypeId, u32);

impl Types {
    /// All of it as the kernel reads it; nothing if there are no types.
    pub fn encode(&self) -> Vec<u8> {
        const HEADER_LEN: u32 = 24;
        const MAGIC_AND_VERSION: u32 = 0x0001_eb9f;
        if self.count == 0 {
            return Vec::new();
        }
        let (types, names) = (self.records.len() as u32, self.names.len() as u32);
        let header = [MAGIC_AND_VERSION, HEADER_LEN, 0, types, types, names];
        [&header.map(u32::to_le_bytes).concat()[..], &self.records, &self.names].concat()
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.names.len() as u32;
        self.names.extend(name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'_' }));
        self.names.push(0);
        at
    }

    /// A type: name, kind with the number of entries or the linkage, size or type, and what follows.
    fn add(&mut self, name: &str, kind: u32, count: u32, size_or_type: u32, rest: &[u32]) -> TypeId {
        let tail: Vec<u8> =
            [(kind << 24) | count, size_or_type].iter().chain(rest).flat_map(|w| w.to_le_bytes()).collect();
        let key = [name.as_bytes(), &[0], &tail].concat();
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let name = self.name(name);
        self.records.extend(name.to_le_bytes());
        self.records.extend(tail);
        self.count += 1;
        self.known.insert(key, self.count);
        self.count
    }

    /// An integer of so many bytes.
    fn int(&mut self, bytes: u32) -> TypeId {
        const SIGNED: u32 = 1 << 24;
        let (name, encoding) = match bytes {
            1 => ("u8", 0),
            4 => ("int", SIGNED),
            _ => ("u64", 0),
        };
        self.add(name, INT, 0, bytes, &[encoding | (8 * bytes)])
    }

    fn array(&mut self, of: TypeId, count: u32) -> TypeId {
        let index = self.int(4);
        self.add("", ARRAY, 0, 0, &[of, index, count])
    }

    /// Names of members are not shared: two structures that differ in them alone are two.
    fn structure(&mut self, name: &str, size: u32, members: &[Member<'_>]) -> TypeId {
        let mut rest = Vec::with_capacity(3 * members.len());
        for (name, of, offset) in members {
            rest.extend([self.name(name), *of, 8 * offset]);
        }
        self.add(name, STRUCT, members.len() as u32, size, &rest)
    }

    /// So many bytes of no meaning, as a structure.
    fn bytes(&mut self, len: u32) -> TypeId {
        let byte = self.int(1);
        let all = self.array(byte, len);
        self.structure(&format!("bytes_{len}"), len, &[("all", all, 0)])
    }

    /// Types of a map's keys and values: none where the map does not need any.
    pub fn of_map(&mut self, def: &MapDef, kernel: (u32, u32)) -> (TypeId, TypeId) {
        if def.fields.is_empty() && !needs_types(def.map_type) {
            return (0, 0);
        }
        let key = match def.key_size {
            0 => 0,
            4 => self.int(4),
            len => self.bytes(len),
        };
        let value = match (def.value_size, &def.fields[..]) {
            (0, _) => 0,
            (len, []) => self.bytes(len),
            (len, fields) => self.value(len, fields, kernel),
        };
        (key, value)
    }

    /// A structure with the members that the kernel manages, each at its place.
    fn value(&mut self, len: u32, fields: &[ValueField], kernel: (u32, u32)) -> TypeId {
        let names: Vec<String> = (0..fields.len()).map(|at| format!("field_{at}")).collect();
        let mut members = Vec::with_capacity(fields.len());
        for (field, name) in fields.iter().zip(&names) {
            members.push((name.as_str(), self.field(field, kernel), field.offset));
        }
        self.structure("value", len, &members)
    }

    fn field(&mut self, field: &ValueField, kernel: (u32, u32)) -> TypeId {
        let (int, long) = (self.int(4), self.int(8));
        let two = |types: &mut Types, name: &str| {
            let pair = types.array(long, 2);
            types.structure(name, 16, &[("opaque", pair, 0)])
        };
        match field.kind {
            ValueFieldKind::SpinLock => self.structure("bpf_spin_lock", 4, &[("val", int, 0)]),
            ValueFieldKind::Timer => two(self, "bpf_timer"),
            ValueFieldKind::Workqueue => two(self, "bpf_wq"),
            ValueFieldKind::Refcount => self.structure("bpf_refcount", 4, &[("opaque", int, 0)]),
            ValueFieldKind::ResSpinLock => self.structure("bpf_res_spin_lock", 8, &[("val", int, 0), ("pad", int, 4)]),
            ValueFieldKind::TaskWork => self.structure("bpf_task_work", 8, &[("opaque", long, 0)]),
            ValueFieldKind::Kptr | ValueFieldKind::KptrUntrusted => {
                let of = self.structure(field.of.as_deref().unwrap_or_default(), 0, &[]);
                let tag = self.add(tag(field.kind, kernel), TYPE_TAG, 0, of, &[]);
                self.add("", PTR, 0, tag, &[])
            }
        }
    }

    /// A static function of this name with an integer as result. Of what it is called with, its callers are asked.
    pub fn function(&mut self, name: &str) -> TypeId {
        let int = self.int(4);
        let proto = self.add("", FUNC_PROTO, 0, int, &[]);
        self.add(name, FUNC, STATIC, proto, &[])
    }
}

/// What a pointer in a value is tagged with: the names changed in Linux 6.4.
fn tag(kind: ValueFieldKind, kernel: (u32, u32)) -> &'static str {
    match (kind, kernel >= (6, 4)) {
        (ValueFieldKind::KptrUntrusted, true) => "kptr_untrusted",
        (ValueFieldKind::Kptr, false) => "kptr_ref",
        _ => "kptr",
    }
}

/// Storage that hangs on an object of the kernel is not made without types (`bpf_local_storage_map_alloc_check`).
fn needs_types(map_type: MapType) -> bool {
    ["sk_storage", "inode_storage", "task_storage", "cgrp_storage"].contains(&map_type.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
    }

    #[test]
    fn types_are_counted_and_shared() {
        let mut types = Types::default();
        assert!(types.encode().is_empty(), "no types, no BTF");
        let function = types.function("main");
        assert_eq!(function, 3, "int, its prototype, the function");
        assert_eq!(types.function("main"), function);
        assert_eq!(types.function("other"), 4);
        let btf = types.encode();
        let (len, names) = (word(&btf, 12) as usize, word(&btf, 20) as usize);
        assert_eq!((word(&btf, 16) as usize, btf.len()), (len, 24 + len + names));
        assert_eq!(len, 16 + 12 + 12 + 12);
    }

    #[test]
    fn locks_lie_where_the_map_says() {
        let mut types = Types::default();
        let fields = vec![ValueField { kind: ValueFieldKind::SpinLock, offset: 4, of: None }];
        let def = MapDef { fields, ..MapDef::new("m", MapType::HASH, 8, 8, 1) };
        let (key, value) = types.of_map(&def, (6, 1));
        assert!(key != value && key != 0);
        let end = types.records.len();
        // The last member of the last type: name, type, offset in bits.
        assert_eq!((value, word(&types.records, end - 4)), (types.count, 32));
        assert_eq!(types.of_map(&MapDef::new("m", MapType::ARRAY, 4, 8, 1), (6, 1)), (0, 0));
    }

    #[test]
    fn tags_of_pointers_follow_the_kernel() {
        assert_eq!(tag(ValueFieldKind::Kptr, (6, 1)), "kptr_ref");
        assert_eq!(tag(ValueFieldKind::Kptr, (6, 12)), "kptr");
        assert_eq!(tag(ValueFieldKind::KptrUntrusted, (6, 1)), "kptr");
        assert_eq!(tag(ValueFieldKind::KptrUntrusted, (7, 2)), "kptr_untrusted");
    }
}

//! What a program, or a case, says of a map: its sizes, its flags, what its values hold, what it holds from the start.

use super::MapType;
use crate::trap::Unsupported;

/// A map as a program declares it. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// Name, for messages and inputs.
    pub name: String,
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Elements it can hold.
    pub max_entries: u32,
    /// `BPF_F_*` creation flags, see [`FLAGS`].
    pub flags: u32,
    /// `map_extra`: what its type makes of it; how many hash functions a bloom filter has.
    pub extra: u64,
    /// Members of a value that only the kernel may touch, by ascending offset.
    pub fields: Vec<ValueField>,
    /// Of a map of maps: what its inner maps look like.
    pub inner: Option<Box<MapDef>>,
    /// What it holds before a program first runs.
    pub contents: Contents,
    /// Whether user space can change nothing of that any more (`BPF_MAP_FREEZE`).
    pub frozen: bool,
}

/// What a map holds from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Contents {
    /// Nothing, or zeros.
    #[default]
    Empty,
    /// The first value of an array: global data.
    Bytes(Vec<u8>),
    /// Keys and values, put there from user space.
    Elements(Vec<(Vec<u8>, Vec<u8>)>),
    /// Of a map of maps: the program's map under each index.
    Maps(Vec<(u32, usize)>),
    /// Of a program array: the function under each index.
    Programs(Vec<(u32, String)>),
}

/// A member of a map's values that the kernel manages: programs reach it by helpers only (`btf_parse_fields`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueField {
    /// What it is.
    pub kind: ValueFieldKind,
    /// Bytes from the start of the value.
    pub offset: u32,
    /// Of a pointer: the kernel's structure that it points to.
    pub of: Option<String>,
}

/// What the kernel manages in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueFieldKind {
    /// `struct bpf_spin_lock`.
    SpinLock,
    /// `struct bpf_timer`.
    Timer,
    /// A pointer to a kernel object that holds no reference (`__kptr_untrusted`, in Linux 6.1 `__kptr`).
    KptrUntrusted,
    /// A pointer to a kernel object that holds a reference (`__kptr`, in Linux 6.1 `__kptr_ref`).
    Kptr,
    /// `struct bpf_refcount`.
    Refcount,
    /// `struct bpf_wq`.
    Workqueue,
    /// `struct bpf_res_spin_lock`.
    ResSpinLock,
    /// `struct bpf_task_work`.
    TaskWork,
}

impl ValueFieldKind {
    /// All of them.
    pub const ALL: [ValueFieldKind; 8] = [
        ValueFieldKind::SpinLock,
        ValueFieldKind::Timer,
        ValueFieldKind::KptrUntrusted,
        ValueFieldKind::Kptr,
        ValueFieldKind::Refcount,
        ValueFieldKind::Workqueue,
        ValueFieldKind::ResSpinLock,
        ValueFieldKind::TaskWork,
    ];
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            ValueFieldKind::SpinLock => "spin_lock",
            ValueFieldKind::Timer => "timer",
            ValueFieldKind::KptrUntrusted => "kptr_untrusted",
            ValueFieldKind::Kptr => "kptr",
            ValueFieldKind::Refcount => "refcount",
            ValueFieldKind::Workqueue => "wq",
            ValueFieldKind::ResSpinLock => "res_spin_lock",
            ValueFieldKind::TaskWork => "task_work",
        }
    }
    /// The kind with that word.
    pub fn from_name(name: &str) -> Option<ValueFieldKind> {
        ValueFieldKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
    /// Whether it is a pointer, to a structure that must be named.
    pub const fn is_pointer(self) -> bool {
        matches!(self, ValueFieldKind::KptrUntrusted | ValueFieldKind::Kptr)
    }
    /// Whether there are helpers with a meaning here that touch it.
    pub const fn is_modelled(self) -> bool {
        use ValueFieldKind as K;
        matches!(self, K::SpinLock | K::Timer | K::KptrUntrusted | K::Kptr)
    }
    /// Whether it holds something that is given up when its value is replaced or removed (`bpf_obj_free_fields`).
    pub const fn is_freed(self) -> bool {
        matches!(self, ValueFieldKind::Timer | ValueFieldKind::Kptr)
    }
    /// Its length and alignment in bytes.
    pub const fn layout(self) -> (u32, u32) {
        match self {
            ValueFieldKind::SpinLock | ValueFieldKind::Refcount => (4, 4),
            ValueFieldKind::Timer | ValueFieldKind::Workqueue => (16, 8),
            ValueFieldKind::KptrUntrusted | ValueFieldKind::Kptr | ValueFieldKind::TaskWork => (8, 8),
            ValueFieldKind::ResSpinLock => (8, 4),
        }
    }
}

impl MapDef {
    /// A map without flags that holds nothing. Sizes in bytes.
    pub fn new(name: impl Into<String>, map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
        MapDef {
            name: name.into(),
            map_type,
            key_size,
            value_size,
            max_entries,
            flags: 0,
            extra: 0,
            fields: Vec::new(),
            inner: None,
            contents: Contents::Empty,
            frozen: false,
        }
    }
    /// Whether programs may not write its values, as it says itself, or as the kernel makes it: the values of device maps are
    /// members of its devices (`dev_map_init_map`).
    pub fn is_read_only(&self) -> bool {
        self.flags & RDONLY_PROG != 0 || matches!(self.map_type, MapType::DEVMAP | MapType::DEVMAP_HASH)
    }
    /// Whether its values hold a spin lock, which `BPF_F_LOCK` takes.
    pub fn has_lock(&self) -> bool {
        self.fields.iter().any(|field| field.kind == ValueFieldKind::SpinLock)
    }
    /// Whether it holds maps.
    pub fn is_of_maps(&self) -> bool {
        matches!(self.map_type, MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS)
    }
    /// Whether each CPU has values of its own.
    pub fn is_per_cpu(&self) -> bool {
        let types =
            [MapType::PERCPU_HASH, MapType::PERCPU_ARRAY, MapType::LRU_PERCPU_HASH, MapType::PERCPU_CGROUP_STORAGE];
        types.contains(&self.map_type)
    }
    /// What of it has no meaning here: its type, or a property that the kernel gives a meaning for its type. Such a map is a
    /// handle: whatever a program does with it is unsupported.
    ///
    /// ```
    /// use semantics::map::{MapDef, MapType};
    /// assert!(MapDef::new("m", MapType::ARRAY, 4, 8, 1).lack().is_none());
    /// assert!(MapDef::new("m", MapType::STRUCT_OPS, 4, 8, 1).lack().is_some());
    /// ```
    pub fn lack(&self) -> Option<Unsupported> {
        if !self.map_type.is_modelled() {
            return Some(Unsupported::MapType(self.map_type));
        }
        if self.is_of_maps() && self.inner.is_none() {
            // Whoever loads the program says it: no part of the program.
            return Some(Unsupported::MapProperty("inner maps of any kind"));
        }
        let field = self.fields.iter().find(|field| !field.kind.is_modelled());
        field.map(|field| Unsupported::MapProperty(field.kind.name()))
    }
}

/// `BPF_F_NO_PREALLOC`.
pub const NO_PREALLOC: u32 = 1;
/// `BPF_F_NO_COMMON_LRU`: a list of least recently used elements for each CPU.
pub const NO_COMMON_LRU: u32 = 1 << 1;
/// `BPF_F_NUMA_NODE`.
pub const NUMA_NODE: u32 = 1 << 2;
/// `BPF_F_RDONLY`: user space only reads.
pub const RDONLY: u32 = 1 << 3;
/// `BPF_F_WRONLY`: user space only writes.
pub const WRONLY: u32 = 1 << 4;
/// `BPF_F_STACK_BUILD_ID`: build ids instead of addresses.
pub const STACK_BUILD_ID: u32 = 1 << 5;
/// `BPF_F_ZERO_SEED`: the hash function starts with 0.
pub const ZERO_SEED: u32 = 1 << 6;
/// `BPF_F_RDONLY_PROG`: programs only read.
pub const RDONLY_PROG: u32 = 1 << 7;
/// `BPF_F_WRONLY_PROG`: programs only write.
pub const WRONLY_PROG: u32 = 1 << 8;
/// `BPF_F_CLONE`: a new connection takes the values of its listener.
pub const CLONE: u32 = 1 << 9;
/// `BPF_F_MMAPABLE`: user space may map the values.
pub const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_PRESERVE_ELEMS`: perf events stay when the map is closed.
pub const PRESERVE_ELEMS: u32 = 1 << 11;
/// `BPF_F_INNER_MAP`: inner maps may have other sizes.
pub const INNER_MAP: u32 = 1 << 12;
/// `BPF_F_LINK`: a `struct_ops` that is attached by a link.
pub const LINK: u32 = 1 << 13;
/// `BPF_F_SEGV_ON_FAULT`: of an arena.
pub const SEGV_ON_FAULT: u32 = 1 << 17;
/// `BPF_F_NO_USER_CONV`: of an arena.
pub const NO_USER_CONV: u32 = 1 << 18;

/// The creation flags that do not name a file descriptor: the kernel's names in lower case without `BPF_F_`, and values.
pub const FLAGS: [(&str, u32); 16] = [
    ("no_prealloc", NO_PREALLOC),
    ("no_common_lru", NO_COMMON_LRU),
    ("numa_node", NUMA_NODE),
    ("rdonly", RDONLY),
    ("wronly", WRONLY),
    ("stack_build_id", STACK_BUILD_ID),
    ("zero_seed", ZERO_SEED),
    ("rdonly_prog", RDONLY_PROG),
    ("wronly_prog", WRONLY_PROG),
    ("clone", CLONE),
    ("mmapable", MMAPABLE),
    ("preserve_elems", PRESERVE_ELEMS),
    ("inner_map", INNER_MAP),
    ("link", LINK),
    ("segv_on_fault", SEGV_ON_FAULT),
    ("no_user_conv", NO_USER_CONV),
];

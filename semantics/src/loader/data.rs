//! Global data: sections that become arrays of one element, and the variables that the kernel defines.
//!
//! `.rodata*` is read-only to programs, `.data*` and `.bss*` are not; `.kconfig` holds what the kernel's configuration says
//! (libbpf: `bpf_object__init_global_data_maps`, `bpf_object__collect_externs`, `bpf_object__resolve_externs`).

use std::collections::{BTreeSet, HashMap};

use super::btf::{Btf, Kind};
use super::elf::{Elf, Section};
use super::error::{KconfigReason, LoadError};
use crate::map::{Contents, MMAPABLE, MapDef, MapType, RDONLY_PROG};
use crate::world::kconfig::{Kconfig, Setting};

/// The array of the kernel's configuration.
const KCONFIG: &str = ".kconfig";

/// Whether a section's bytes are global data, by its name.
pub(super) fn is_data(elf: &Elf<'_>, section: Section<'_>) -> bool {
    let name = elf.name(section);
    let is = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    Elf::is_allocated(section)
        && !Elf::is_executable(section)
        && if Elf::is_zeroed(section) { is(".bss") } else { is(".rodata") || is(".data") }
}

/// The array that a section of global data becomes.
pub(super) fn array(elf: &Elf<'_>, section: Section<'_>, btf: Option<&Btf>) -> Result<MapDef, LoadError> {
    let name = elf.name(section);
    let bytes = elf.data(section)?;
    let size = Elf::size(section);
    let value_size = u32::try_from(size).ok().filter(|size| i32::try_from(*size).is_ok());
    let value_size = value_size.ok_or_else(|| LoadError::DataSize { section: name.clone().into_owned(), size })?;
    let mut def = MapDef::new(name.clone(), MapType::ARRAY, 4, value_size, 1);
    if name.starts_with(".rodata") {
        def.flags |= RDONLY_PROG;
        def.frozen = true;
    }
    // Static variables are nobody else's to map.
    let is_global = |of: &super::btf::Type| matches!(of.kind, Kind::Var { linkage, .. } if linkage != 0);
    if btf.is_some_and(|btf| btf.variables(&name).any(|(of, _)| is_global(of))) {
        def.flags |= MMAPABLE;
    }
    if bytes.iter().any(|byte| *byte != 0) {
        def.contents = Contents::Bytes(bytes.to_vec());
    }
    Ok(def)
}

/// A variable of `.kconfig` that the object refers to.
#[derive(Debug)]
pub(super) struct Extern {
    name: String,
    of: u32,
    size: u32,
    align: u32,
    is_weak: bool,
    /// Bytes from the start of the array.
    pub(super) offset: u32,
}

/// What an object refers to and does not define.
#[derive(Debug, Default)]
pub(super) struct Externs {
    kconfig: Vec<Extern>,
    /// Places in `kconfig` by name.
    by_name: HashMap<String, usize>,
    size: u32,
    /// Variables and functions of the kernel; of functions it is true.
    kernel: HashMap<String, bool>,
}

impl Externs {
    /// Gathers them from symbols and BTF, and lays out `.kconfig` as libbpf does: the widest alignment first, then the
    /// smallest, then by name.
    pub(super) fn collect(elf: &Elf<'_>, btf: Option<&Btf>) -> Externs {
        let mut externs = Externs::default();
        let Some(btf) = btf else { return externs };
        let undefined: HashMap<String, bool> = elf
            .symbols()
            .filter(|symbol| symbol.is_undefined() && symbol.is_global())
            .map(|symbol| (elf.symbol_name(symbol).into_owned(), symbol.is_weak()))
            .collect();
        let mut seen = BTreeSet::new();
        for (variable, _) in btf.variables(KCONFIG) {
            let name = btf.string(variable.name).into_owned();
            let (Kind::Var { of, .. }, Some(is_weak)) = (&variable.kind, undefined.get(&name)) else { continue };
            // One without a size cannot be laid out; a reference to it says so.
            let Some(size) = btf.size(*of).filter(|size| (1..=EXTERN_MAX).contains(size)) else { continue };
            if seen.insert(name.clone()) {
                let (of, align, is_weak) = (*of, btf.align(*of), *is_weak);
                externs.kconfig.push(Extern { name, of, size, align, is_weak, offset: 0 });
            }
        }
        for (of, _) in btf.variables(".ksyms") {
            let name = btf.string(of.name).into_owned();
            externs.kernel.insert(name, matches!(of.kind, Kind::Func { .. }));
        }
        externs.kconfig.sort_by(|a, b| b.align.cmp(&a.align).then(a.size.cmp(&b.size)).then(a.name.cmp(&b.name)));
        for (at, found) in externs.kconfig.iter_mut().enumerate() {
            found.offset = externs.size.next_multiple_of(found.align);
            if found.offset + found.size > KCONFIG_MAX {
                break;
            }
            externs.size = found.offset + found.size;
            externs.by_name.insert(found.name.clone(), at);
        }
        externs
    }

    /// The variable of `.kconfig` of this name.
    pub(super) fn kconfig(&self, name: &str) -> Option<&Extern> {
        self.by_name.get(name).map(|at| &self.kconfig[*at])
    }
    /// Whether the object declares this symbol as one of the kernel's; a function if true.
    pub(super) fn kernel(&self, name: &str) -> Option<bool> {
        self.kernel.get(name).copied()
    }
    /// The array of the kernel's configuration, if the object asks for any of it. What is not set stays zero.
    pub(super) fn array(&self, btf: Option<&Btf>, config: &Kconfig) -> Option<MapDef> {
        let btf = btf.filter(|_| self.size != 0)?;
        let mut bytes = vec![0; self.size as usize];
        for found in self.by_name.values().map(|at| &self.kconfig[*at]) {
            if let Ok(value) = found.value(btf, config) {
                let start = found.offset as usize;
                bytes[start..start + value.len()].copy_from_slice(&value);
            }
        }
        let mut def = MapDef::new(KCONFIG, MapType::ARRAY, 4, self.size, 1);
        def.flags = RDONLY_PROG;
        def.frozen = true;
        def.contents = Contents::Bytes(bytes);
        Some(def)
    }
}

/// The most bytes of one variable, and of all: longer texts are in no configuration.
const EXTERN_MAX: u32 = 1 << 16;
const KCONFIG_MAX: u32 = 1 << 20;

impl Extern {
    /// The variable's bytes, at most as many as it has.
    pub(super) fn value(&self, btf: &Btf, config: &Kconfig) -> Result<Vec<u8>, KconfigReason> {
        let virtual_ = match &*self.name {
            "LINUX_KERNEL_VERSION" => Some(Setting::Number(u64::from(config.version))),
            "LINUX_HAS_SYSCALL_WRAPPER" => Some(flag(config.has_syscall_wrapper)),
            "LINUX_HAS_BPF_COOKIE" => Some(flag(config.has_bpf_cookie)),
            _ => None,
        };
        let setting = match virtual_.or_else(|| config.get(&self.name).cloned()) {
            Some(setting) => setting,
            None if self.is_weak => return Ok(Vec::new()),
            None => return Err(KconfigReason::NotSet),
        };
        let shape = Shape::of(btf, self.of).ok_or(KconfigReason::Type)?;
        shape.bytes(&setting, self.size)
    }
}

fn flag(value: bool) -> Setting {
    if value { Setting::Yes } else { Setting::No }
}

/// How a variable of `.kconfig` is declared.
enum Shape {
    Bool,
    /// One character: `y`, `m` or `n`, or a small number.
    Char,
    Int {
        signed: bool,
    },
    /// `enum libbpf_tristate`: 0 no, 1 yes, 2 module.
    Tristate,
    Text,
}

impl Shape {
    fn of(btf: &Btf, number: u32) -> Option<Shape> {
        match btf.resolve(number)? {
            Kind::Int { size: 1, encoding } if encoding >> 26 & 1 != 0 => Some(Shape::Bool),
            Kind::Int { size: 1, .. } => Some(Shape::Char),
            Kind::Int { size: 2 | 4 | 8, encoding } => Some(Shape::Int { signed: encoding >> 24 & 1 != 0 }),
            Kind::Enum { size: 4, .. } if btf.name(btf.resolve_id(number)) == "libbpf_tristate" => {
                Some(Shape::Tristate)
            }
            Kind::Array { element, .. } => match btf.resolve(*element) {
                Some(Kind::Int { size: 1, .. }) => Some(Shape::Text),
                _ => None,
            },
            _ => None,
        }
    }

    fn bytes(&self, setting: &Setting, size: u32) -> Result<Vec<u8>, KconfigReason> {
        let number = match (self, setting) {
            (Shape::Bool | Shape::Tristate, Setting::No) => 0,
            (Shape::Bool | Shape::Tristate, Setting::Yes) => 1,
            (Shape::Tristate, Setting::Module) => 2,
            (Shape::Char, Setting::Yes) => u64::from(b'y'),
            (Shape::Char, Setting::Module) => u64::from(b'm'),
            (Shape::Char, Setting::No) => u64::from(b'n'),
            (Shape::Char, Setting::Number(number)) => fit(*number, 1, true).or(fit(*number, 1, false))?,
            (Shape::Int { signed }, Setting::Number(number)) => fit(*number, size, *signed)?,
            (Shape::Text, Setting::Text(text)) => {
                // As much as fits with a NUL.
                let len = text.len().min(size as usize - 1);
                return Ok(text.as_bytes()[..len].to_vec());
            }
            _ => return Err(KconfigReason::Type),
        };
        Ok(number.to_le_bytes()[..size as usize].to_vec())
    }
}

/// The number, if an integer of this many bytes can hold it.
fn fit(number: u64, size: u32, signed: bool) -> Result<u64, KconfigReason> {
    let unused = 64 - 8 * size;
    let kept = if signed { ((number as i64) << unused >> unused) as u64 } else { number << unused >> unused };
    if kept == number { Ok(number) } else { Err(KconfigReason::Range) }
}

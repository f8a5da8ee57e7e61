//! The world's own BTF: bytes as a kernel would show them in /sys/kernel/btf/vmlinux, made from the declarations of
//! [`kernel`](super::kernel) and of program contexts, and read by the same reader as any other.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::kernel::{self, Decl, Field, Of};
use crate::loader::Btf;

/// The world's types.
///
/// ```
/// let btf = semantics::world::btf::btf();
/// assert!(btf.types().iter().any(|of| btf.string(of.name) == "task_struct"));
/// ```
pub fn btf() -> &'static Btf {
    static BTF: LazyLock<Btf> = LazyLock::new(|| Btf::parse(bytes()).expect("the world's types are well-formed"));
    &BTF
}

/// The world's types as the bytes of a BTF file.
pub fn bytes() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut writer = Writer::default();
        for decl in kernel::declarations() {
            writer.declare(&decl);
        }
        writer.finish()
    });
    &BYTES
}

/// Kinds of BTF types.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const FUNC_PROTO: u32 = 13;
}

/// Size and alignment in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    size: u32,
    align: u32,
}

/// Where the members of a structure lie, by the rules of C on x86-64.
#[derive(Default)]
struct Placed {
    /// Bits from the start, and width of a bitfield, of each.
    places: Vec<(u32, u32)>,
    layout: Layout,
}

/// Types in the order of their numbers.
#[derive(Default)]
struct Writer {
    types: Vec<u8>,
    count: u32,
    strings: Vec<u8>,
    string_offsets: HashMap<String, u32>,
    numbers: HashMap<Of, u32>,
    /// Sizes of what has a name.
    layouts: HashMap<Of, Layout>,
    /// What is referred to before it is declared: where its number has to be written.
    open: Vec<(Of, usize)>,
}

impl Writer {
    fn string(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        if let Some(offset) = self.string_offsets.get(text) {
            return *offset;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        self.string_offsets.insert(text.to_owned(), offset);
        offset
    }
    fn word(&mut self, word: u32) {
        self.types.extend(word.to_le_bytes());
    }
    /// The common words of a type; its number.
    fn head(&mut self, name: &str, kind: u32, flag: bool, count: usize, size_or_type: u32) -> u32 {
        let name = self.string(name);
        self.word(name);
        self.word(u32::from(flag) << 31 | kind << 24 | count as u32);
        self.word(size_or_type);
        self.count += 1;
        self.count
    }
    /// Writes the number of a type, now or when it is declared. `of` must have been made by [`Writer::make`].
    fn reference(&mut self, of: &Of) {
        let number = self.number(of).unwrap_or_else(|| {
            self.open.push((*of, self.types.len()));
            0
        });
        self.word(number);
    }
    fn number(&self, of: &Of) -> Option<u32> {
        if *of == Of::Void { Some(0) } else { self.numbers.get(of).copied() }
    }

    /// Makes a type that needs no declaration: integers, pointers, arrays, anonymous structures.
    fn make(&mut self, of: &Of) {
        if self.number(of).is_some() {
            return;
        }
        let number = match *of {
            Of::Void | Of::Struct(_) | Of::Union(_) | Of::Enum(_) | Of::Type(_) => return,
            Of::Int { name, size, encoding } => {
                let number = self.head(name, kind::INT, false, 0, size);
                self.word((encoding << 24) | (size * 8));
                number
            }
            Of::Pointer(to) => {
                self.make(to);
                let at = self.types.len() + 8;
                let number = self.head("", kind::PTR, false, 0, self.number(to).unwrap_or(0));
                if self.number(to).is_none() {
                    self.open.push((*to, at));
                }
                number
            }
            Of::Function => self.head("", kind::FUNC_PROTO, false, 0, 0),
            Of::Array(element, count) => {
                self.make(element);
                self.make(&Of::U32);
                let number = self.head("", kind::ARRAY, false, 0, 0);
                self.reference(element);
                self.reference(&Of::U32);
                self.word(count);
                number
            }
            Of::Anonymous { union, fields } => self.record("", union, fields),
        };
        self.numbers.insert(*of, number);
    }

    /// A structure or union.
    fn record(&mut self, name: &str, union: bool, fields: &[Field]) -> u32 {
        for field in fields {
            self.make(&field.of);
        }
        let placed = self.place(union, fields);
        let flag = fields.iter().any(|field| field.bits != 0);
        let kind = if union { kind::UNION } else { kind::STRUCT };
        let number = self.head(name, kind, flag, fields.len(), placed.layout.size);
        for (field, (offset, bits)) in fields.iter().zip(placed.places) {
            let name = self.string(field.name);
            self.word(name);
            self.reference(&field.of);
            self.word(if flag { offset | bits << 24 } else { offset });
        }
        number
    }

    fn place(&self, union: bool, fields: &[Field]) -> Placed {
        let mut placed = Placed { layout: Layout { size: 0, align: 1 }, ..Placed::default() };
        let mut end = 0;
        for field in fields {
            let Layout { size, align } = self.layout(&field.of);
            let bits = u32::from(field.bits);
            let start = match field.at {
                Some(at) => at * 8,
                None if union => 0,
                // A bitfield stays in one unit of its type.
                None if bits != 0 && end / (size * 8) == (end + bits - 1) / (size * 8) => end,
                None => end.next_multiple_of(align * 8),
            };
            placed.places.push((start, bits));
            let len = if bits != 0 { bits } else { size * 8 };
            end = end.max(start + len);
            placed.layout.align = placed.layout.align.max(align);
        }
        placed.layout.size = end.div_ceil(8).next_multiple_of(placed.layout.align);
        placed
    }

    /// Size and alignment; what is used by value must be declared before.
    fn layout(&self, of: &Of) -> Layout {
        match *of {
            Of::Void | Of::Function => Layout { size: 0, align: 1 },
            Of::Int { size, .. } => Layout { size, align: size },
            Of::Pointer(_) => Layout { size: 8, align: 8 },
            Of::Array(element, count) => {
                let Layout { size, align } = self.layout(element);
                Layout { size: size * count, align }
            }
            Of::Anonymous { union, fields } => self.place(union, fields).layout,
            Of::Struct(_) | Of::Union(_) | Of::Enum(_) | Of::Type(_) => {
                *self.layouts.get(of).unwrap_or_else(|| panic!("{of:?} is used before it is declared"))
            }
        }
    }

    fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) -> u32 {
        let number = self.head(name, kind::ENUM, false, values.len(), 4);
        for (name, value) in values {
            let name = self.string(name);
            self.word(name);
            self.word(*value);
        }
        number
    }

    fn declare(&mut self, decl: &Decl) {
        let (of, number, layout) = match decl {
            Decl::Record { name, union, fields } => {
                let of = if *union { Of::Union(name) } else { Of::Struct(name) };
                let layout = self.place(*union, fields).layout;
                (of, self.record(name, *union, fields), layout)
            }
            Decl::Type(name, to) => {
                self.make(to);
                let number = self.head(name, kind::TYPEDEF, false, 0, self.number(to).unwrap_or(0));
                (Of::Type(name), number, self.layout(to))
            }
            Decl::Enum(name, values) => {
                let number = self.enumeration(name, values);
                (Of::Enum(name), number, Layout { size: 4, align: 4 })
            }
            Decl::Numbered(name, values) => {
                let values: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                (Of::Enum(name), self.enumeration(name, &values), Layout { size: 4, align: 4 })
            }
        };
        assert!(self.numbers.insert(of, number).is_none(), "{of:?} is declared twice");
        self.layouts.insert(of, layout);
    }

    /// What is only pointed to is a forward declaration; then the file's header, types and strings.
    fn finish(mut self) -> Vec<u8> {
        for (of, at) in std::mem::take(&mut self.open) {
            let number = self.number(&of).unwrap_or_else(|| {
                let (name, union) = match of {
                    Of::Struct(name) => (name, false),
                    Of::Union(name) => (name, true),
                    _ => panic!("{of:?} is not declared"),
                };
                let number = self.head(name, kind::FWD, union, 0, 0);
                self.numbers.insert(of, number);
                number
            });
            self.types[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut file = vec![0x9f, 0xeb, 1, 0];
        file.extend([24, 0, types, types, strings].into_iter().flat_map(u32::to_le_bytes));
        file.extend(&self.types);
        file.extend(&self.strings);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::btf::Kind;

    /// Offset in bytes and size of a member.
    fn member(record: &str, name: &str) -> (u32, Option<u32>) {
        let btf = btf();
        let members = btf.types().iter().find_map(|of| match &of.kind {
            Kind::Struct { members, .. } if btf.string(of.name) == record => Some(members),
            _ => None,
        });
        let found = members.unwrap().iter().find(|member| btf.string(member.name) == name).unwrap();
        (found.offset / 8, btf.size(found.of))
    }

    #[test]
    fn members_lie_where_c_puts_them() {
        // Fixed by the kernel's interfaces, so known from elsewhere.
        assert_eq!(member("pt_regs", "di"), (112, Some(8)));
        assert_eq!(member("pt_regs", "sp"), (152, Some(8)));
        assert_eq!(member("bpf_perf_event_data", "regs"), (0, Some(168)));
        assert_eq!(member("bpf_perf_event_data", "addr"), (176, Some(8)));
        assert_eq!(member("__sk_buff", "sk"), (168, Some(8)));
        assert_eq!(member("bpf_sock_ops", "remote_ip6"), (32, Some(16)));
        assert_eq!(member("iphdr", "protocol"), (9, Some(1)));
        assert_eq!(member("tcphdr", "window"), (14, Some(2)));
        assert_eq!(member("ethhdr", "h_proto"), (12, Some(2)));
        assert_eq!(member("task_struct", "comm").1, Some(16));
        assert_eq!(member("sock", "__sk_common").0, 0);
    }
}

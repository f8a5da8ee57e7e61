//! Everything that can be seen of a run at one moment, as a table and as JSON.

use comfy_table::{Table, presets};
use corpus::text::hex;
use semantics::helper;
use semantics::memory::layout;
use semantics::program_type::FieldKind;
use semantics::world::Effect;
use serde_json::{Value, json};

use super::record::HelperCall;
use super::view::{self, View};

/// The state of a run, in words.
#[derive(Debug)]
pub struct State {
    pub pc: usize,
    pub retired: u64,
    registers: Vec<(u64, Option<String>)>,
    packet: Vec<u8>,
    /// Name, value and what it points to.
    context: Vec<(&'static str, String, Option<String>)>,
    /// The outermost frame first.
    frames: Vec<Frame>,
    maps: Vec<(String, Vec<Element>)>,
    calls: Vec<HelperCall>,
    effects: Vec<Effect>,
}

/// Key and value of a map element.
type Element = (Vec<u8>, Vec<u8>);

#[derive(Debug)]
struct Frame {
    depth: u32,
    function: String,
    /// Slots of 8 bytes that are not zero: offset from the frame pointer, bytes, and what they point to.
    slots: Vec<(i64, Vec<u8>, Option<String>)>,
}

impl State {
    /// The state at `view`; `callers` are the slots of the calls that wait for a return.
    pub fn of(view: &View<'_>, callers: &[usize]) -> State {
        let memory = &view.world.memory;
        let maps = view.world.maps.iter().map(|map| {
            let mut elements = Vec::new();
            map.each_value(memory, &mut |key, value| {
                if value.iter().any(|byte| *byte != 0) {
                    elements.push((key.to_vec(), value.to_vec()));
                }
            });
            (map.def.name.clone(), elements)
        });
        // Who follows no calls knows only where the innermost frame is.
        let slot = |depth| if depth == view.depth() { Some(view.pc) } else { callers.get(depth as usize).copied() };
        State {
            pc: view.pc,
            retired: view.retired,
            registers: view.registers.iter().map(|value| (*value, view.name(*value))).collect(),
            packet: view.world.packet_bytes().to_vec(),
            context: context(view),
            frames: (0..=view.depth()).map(|depth| Frame::of(view, depth, slot(depth))).collect(),
            maps: maps.collect(),
            calls: view.world.effects.iter().map(|effect| HelperCall::new(effect, view, false)).collect(),
            effects: view.world.effects.clone(),
        }
    }

    /// Bytes of the packet.
    pub fn packet_len(&self) -> usize {
        self.packet.len()
    }

    /// Registers, one per row.
    pub fn registers(&self) -> impl Iterator<Item = (String, String)> {
        self.registers
            .iter()
            .enumerate()
            .map(|(at, (value, name))| (format!("r{at}"), pointed(format!("{value:#x}"), name.as_deref())))
    }

    /// The stack, one slot per row.
    pub fn stack(&self) -> impl Iterator<Item = (String, String)> {
        let several = self.frames.len() > 1;
        self.frames.iter().rev().flat_map(move |frame| {
            let depth = frame.depth;
            let title = (format!("frame {depth}"), frame.function.clone());
            let slots = frame.slots.iter().map(move |(offset, bytes, name)| {
                let at = if several { format!("fp[{depth}]{offset}") } else { format!("fp{offset}") };
                (at, pointed(hex(bytes), name.as_deref()))
            });
            several.then_some(title).into_iter().chain(slots)
        })
    }

    /// All of it, one thing per row. `registers`: whether they are known.
    pub fn rows(&self, registers: bool) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        if registers {
            rows.extend(self.registers());
        }
        rows.push(("packet".to_owned(), shorten(&hex(&self.packet))));
        rows.extend(
            self.context.iter().map(|(name, value, to)| (format!("ctx.{name}"), pointed(value.clone(), to.as_deref()))),
        );
        rows.extend(self.stack());
        for (map, elements) in &self.maps {
            rows.extend(elements.iter().map(|(key, value)| (format!("{map}[{}]", hex(key)), hex(value))));
        }
        rows.extend(self.calls.iter().map(|call| ("call".to_owned(), call.to_string())));
        rows
    }

    /// All of it as fields of a JSON object.
    pub fn json(&self, registers: bool) -> Value {
        let pointing = |value: String, name: &Option<String>| json!({"value": value, "points_to": name});
        let registers: Option<serde_json::Map<_, _>> = registers.then(|| {
            let all = self.registers.iter().enumerate();
            all.map(|(at, (value, name))| (format!("r{at}"), pointing(format!("{value:#x}"), name))).collect()
        });
        let context = self.context.iter();
        let context: serde_json::Map<_, _> =
            context.map(|(name, value, to)| ((*name).to_owned(), pointing(value.clone(), to))).collect();
        let frame = |frame: &Frame| {
            let slots = frame.slots.iter();
            let slots: Vec<Value> = slots
                .map(|(offset, bytes, name)| json!({"offset": offset, "bytes": hex(bytes), "points_to": name}))
                .collect();
            json!({"depth": frame.depth, "function": frame.function, "slots": slots})
        };
        let element = |(key, value): &Element| json!({"key": hex(key), "value": hex(value)});
        let maps = self.maps.iter();
        let maps: serde_json::Map<_, _> =
            maps.map(|(name, elements)| (name.clone(), elements.iter().map(element).collect())).collect();
        json!({
            "pc": self.pc, "retired": self.retired, "registers": registers, "packet": hex(&self.packet),
            "context": context, "frames": self.frames.iter().map(frame).collect::<Vec<_>>(), "maps": maps,
            "effects": self.effects.iter().map(effect).collect::<Vec<_>>(),
        })
    }
}

impl Frame {
    fn of(view: &View<'_>, depth: u32, slot: Option<usize>) -> Frame {
        let bytes = view.world.memory.peek(layout::frame_bottom(u64::from(depth)), layout::FRAME_LEN);
        let slots = bytes.chunks(8).enumerate().filter(|(_, slot)| slot.iter().any(|byte| *byte != 0));
        let slots = slots.map(|(at, slot)| {
            let value = slot.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            (8 * at as i64 - layout::FRAME_LEN as i64, slot.to_vec(), view.name(value))
        });
        let function = slot.map_or_else(String::new, |slot| view::function(view.program, slot));
        Frame { depth, function, slots: slots.collect() }
    }
}

/// The fields of the context: pointers to the packet, and what is not zero.
fn context(view: &View<'_>) -> Vec<(&'static str, String, Option<String>)> {
    let fields = view.program.program_type().declaration().fields.iter();
    let fields = fields.filter_map(|field| {
        let bytes = view.world.memory.peek(layout::CONTEXT + u64::from(field.offset), u64::from(field.len));
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        if field.len > 8 {
            return Some((field.name, hex(bytes), None));
        }
        let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let name = if field.kind == FieldKind::Scalar { None } else { view.name(value) };
        Some((field.name, format!("{value:#x}"), name))
    });
    fields.collect()
}

/// What a helper call did to the world.
fn effect(effect: &Effect) -> Value {
    let Effect::Call { helper, args, result, class } = effect;
    let fact = helper::fact(*helper);
    let count = fact.map_or(5, |fact| fact.args.len());
    let args: Vec<String> = args.iter().take(count).map(|arg| format!("{arg:#x}")).collect();
    json!({
        "helper": fact.map(|fact| fact.name), "args": args,
        "result": format!("{result:#x}"), "class": class.to_string(),
    })
}

/// A value, and what it points to.
fn pointed(value: String, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{value} ({name})"),
        None => value,
    }
}

/// A long text, its middle left out.
fn shorten(text: &str) -> String {
    if text.len() <= 160 { text.to_owned() } else { format!("{}... ({} bytes)", &text[..144], text.len() / 2) }
}

/// Names and values below each other.
pub fn table(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, value) in rows {
        table.add_row(vec![name, value]);
    }
    table.trim_fmt()
}

//! Writing cases: the same text for the same case, as a person would write it. `parse(to_yaml(case)) == case`.

use std::fmt::Write;

use semantics::map::{Contents, FLAGS, MapDef, ValueField};
use semantics::program_type::ProgramType;
use semantics::world::WorldConfig;
use serde_yaml::Value;

use crate::case::{Case, Code, Element, Ending, Expected, FindingNote, Load, Run, Shown, Verdict};
use crate::text::hex;

impl Case {
    /// The case as one element of a case file. Objects are named, not written.
    pub fn to_yaml(&self) -> String {
        let mut out = Lines(String::new());
        out.line(0, format_args!("- name: {}", scalar(&self.name)));
        if !self.story.is_empty() {
            out.field(1, "story", &self.story);
        }
        if !matches!(self.code, Code::Object(_)) {
            out.program(self);
        }
        out.code(&self.code);
        out.targets(&self.targets);
        if self.verdict != Verdict::Accept || !self.message.is_empty() {
            out.line(1, format_args!("expect:"));
            out.line(2, format_args!("verdict: {}", self.verdict.name()));
            out.list(2, "message", &self.message);
        }
        out.runs(self);
        if let Some(finding) = &self.finding {
            out.finding(finding);
        }
        out.0
    }
}

/// A whole case file.
pub fn to_yaml(cases: &[Case]) -> String {
    if cases.is_empty() { "[]\n".to_owned() } else { cases.iter().map(Case::to_yaml).collect::<Vec<_>>().join("\n") }
}

/// The text so far.
struct Lines(String);

impl Lines {
    /// A line, `depth` times two blanks in.
    fn line(&mut self, depth: usize, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{:width$}{text}", "", width = depth * 2);
    }
    fn field(&mut self, depth: usize, name: &str, value: &str) {
        self.line(depth, format_args!("{name}: {}", scalar(value)));
    }
    fn list(&mut self, depth: usize, name: &str, values: &[String]) {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            self.line(depth, format_args!("{name}: [{}]", values.join(", ")));
        }
    }

    fn program(&mut self, case: &Case) {
        if case.program_type != ProgramType::SocketFilter {
            self.line(1, format_args!("program_type: {}", case.program_type));
        }
        if case.license != "GPL" {
            self.field(1, "license", &case.license);
        }
        self.load(&case.load);
        if !case.maps.is_empty() {
            self.line(1, format_args!("maps:"));
        }
        for def in &case.maps {
            self.line(2, format_args!("{}: {}", scalar(&def.name), map(def, case)));
        }
    }

    fn load(&mut self, load: &Load) {
        let Load { attach_type, attach_to, strict_alignment, test_state_freq, sleepable, frags } = load;
        let mut words = Vec::new();
        words.extend(attach_type.map(|of| format!("attach_type: {}", of.name())));
        words.extend(attach_to.as_ref().map(|of| format!("attach_to: {}", scalar(of))));
        let flags = [
            (*strict_alignment, "strict_alignment"),
            (*test_state_freq, "test_state_freq"),
            (*sleepable, "sleepable"),
            (*frags, "frags"),
        ];
        words.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| format!("{name}: true")));
        if !words.is_empty() {
            self.line(1, format_args!("load: {{{}}}", words.join(", ")));
        }
    }

    fn code(&mut self, code: &Code) {
        match code {
            Code::Asm(text) => self.text(1, "asm", text),
            Code::Slots(bytes) => {
                self.line(1, format_args!("hex: |"));
                bytes.chunks(8).for_each(|slot| self.line(2, format_args!("{}", hex(slot))));
            }
            Code::Object(object) => {
                self.field(1, "object", &object.path.to_string_lossy());
                if let Some(section) = &object.section {
                    self.field(1, "section", section);
                }
            }
        }
    }

    fn targets(&mut self, targets: &[(String, String)]) {
        if !targets.is_empty() {
            self.line(1, format_args!("targets:"));
        }
        for (name, text) in targets {
            self.text(2, &scalar(name), text);
        }
    }

    /// A text of several lines, as a block where YAML can hold it so.
    fn text(&mut self, depth: usize, name: &str, text: &str) {
        let plain = |c: char| matches!(c, '\n' | ' '..='~');
        let is_block =
            text.ends_with('\n') && !text.ends_with("\n\n") && !text.starts_with('\n') && text.chars().all(plain);
        if !is_block || text.lines().any(|line| line.ends_with(' ')) || text.trim().is_empty() {
            return self.line(depth, format_args!("{name}: {}", quoted(text)));
        }
        self.line(depth, format_args!("{name}: |{}", if text.starts_with(' ') { "2" } else { "" }));
        for line in text.lines() {
            if line.is_empty() { self.0.push('\n') } else { self.line(depth + 1, format_args!("{line}")) }
        }
    }

    fn runs(&mut self, case: &Case) {
        if let [Run { input, expect }] = &case.runs[..] {
            let rest = input.context.is_empty() && input.elements.is_empty() && input.world == WorldConfig::default();
            let short = matches!(expect.result, None | Some(Ending::Result(_))) && expect.packet.is_none();
            if rest && short && expect.maps.is_empty() && !(input.packet.is_empty() && expect.result.is_none()) {
                if !input.packet.is_empty() {
                    self.line(1, format_args!("packet: {}", quoted(&hex(&input.packet))));
                }
                return self.ending(1, expect.result.as_ref());
            }
        }
        if !case.runs.is_empty() {
            self.line(1, format_args!("inputs:"));
        }
        case.runs.iter().for_each(|run| self.run(case, run));
    }

    fn run(&mut self, case: &Case, Run { input, expect }: &Run) {
        self.line(2, format_args!("- packet: {}", quoted(&hex(&input.packet))));
        if !input.context.is_empty() {
            let fields: Vec<String> =
                input.context.iter().map(|(name, value)| format!("{}: {value:#x}", scalar(name))).collect();
            self.line(3, format_args!("context: {{{}}}", fields.join(", ")));
        }
        let mut maps: Vec<(usize, Vec<Element>)> = Vec::new();
        for (map, key, value) in &input.elements {
            let element = (key.clone(), value.clone());
            match maps.iter_mut().find(|(other, _)| other == map) {
                Some((_, elements)) => elements.push(element),
                None => maps.push((*map, vec![element])),
            }
        }
        self.maps(3, case, &maps);
        if input.world != WorldConfig::default() {
            self.line(3, format_args!("world: {}", settings(&input.world)));
        }
        if *expect != Expected::default() {
            self.line(3, format_args!("expect:"));
            self.ending(4, expect.result.as_ref());
            if let Some(packet) = &expect.packet {
                self.line(4, format_args!("packet: {}", quoted(&hex(packet))));
            }
            self.maps(4, case, &expect.maps);
            self.rooms(4, case, &expect.world);
        }
    }

    fn rooms(&mut self, depth: usize, case: &Case, rooms: &[Shown]) {
        if !rooms.is_empty() {
            self.line(depth, format_args!("world:"));
        }
        for (room, shown) in rooms {
            let (word, map) = room.name();
            let of = map.and_then(|map| case.maps.get(map as usize));
            let name = of.map_or_else(|| word.to_owned(), |def| format!("{word} {}", def.name));
            let shown: Vec<String> =
                shown.iter().map(|(name, text)| format!("{}: {}", quoted(name), quoted(text))).collect();
            self.line(depth + 1, format_args!("{}: {{{}}}", scalar(&name), shown.join(", ")));
        }
    }

    fn ending(&mut self, depth: usize, ending: Option<&Ending>) {
        match ending {
            None => {}
            Some(Ending::Result(value)) => self.line(depth, format_args!("result: {value:#x}")),
            Some(Ending::Return(value)) => self.line(depth, format_args!("return: {value:#x}")),
            Some(Ending::Trap(text)) => self.line(depth, format_args!("trap: {}", quoted(text))),
        }
    }

    fn maps(&mut self, depth: usize, case: &Case, maps: &[(usize, Vec<Element>)]) {
        if !maps.is_empty() {
            self.line(depth, format_args!("maps:"));
        }
        for (map, elements) in maps {
            let name = case.maps.get(*map).map_or_else(|| map.to_string(), |def| scalar(&def.name));
            self.line(depth + 1, format_args!("{name}:{}", if elements.is_empty() { " []" } else { "" }));
            for of in elements {
                self.line(depth + 2, format_args!("- {}", element(case.maps.get(*map), of)));
            }
        }
    }

    fn finding(&mut self, finding: &FindingNote) {
        self.line(1, format_args!("finding:"));
        self.field(2, "oracle", &finding.oracle);
        self.list(2, "engines", &finding.engines);
        self.field(2, "difference", &finding.difference);
        if let Some(plant) = &finding.plant {
            self.field(2, "plant", plant);
        }
        if let Some(target) = &finding.target {
            self.field(2, "target", target);
        }
    }
}

/// A map, on one line.
fn map(def: &MapDef, case: &Case) -> String {
    let MapDef { map_type, key_size, value_size, max_entries, .. } = def;
    let mut words = vec![
        format!("type: {map_type}"),
        format!("key_size: {key_size}"),
        format!("value_size: {value_size}"),
        format!("max_entries: {max_entries}"),
    ];
    words.extend((def.flags != 0).then(|| format!("flags: {}", flags(def.flags))));
    words.extend((def.extra != 0).then(|| format!("extra: {:#x}", def.extra)));
    let list = |all: Vec<String>| all.join(", ");
    if !def.fields.is_empty() {
        words.push(format!("fields: [{}]", list(def.fields.iter().map(field).collect())));
    }
    words.extend(def.inner.as_ref().map(|inner| format!("inner: {}", map(inner, case))));
    let name = |map: &usize| case.maps.get(*map).map_or_else(|| map.to_string(), |def| scalar(&def.name));
    match &def.contents {
        // Global data belongs to objects, which bring it themselves.
        Contents::Empty | Contents::Bytes(_) => {}
        Contents::Elements(all) => {
            words.push(format!("elements: [{}]", list(all.iter().map(|of| element(Some(def), of)).collect())));
        }
        Contents::Maps(maps) => {
            words.push(format!(
                "maps: {{{}}}",
                list(maps.iter().map(|(at, map)| format!("{at}: {}", name(map))).collect())
            ));
        }
        Contents::Programs(all) => {
            let held = all.iter().map(|(index, name)| format!("{index}: {}", scalar(name))).collect();
            words.push(format!("programs: {{{}}}", list(held)));
        }
    }
    words.extend(def.frozen.then(|| "frozen: true".to_owned()));
    format!("{{{}}}", words.join(", "))
}

/// Flags by name, where all of them have one.
fn flags(flags: u32) -> String {
    let named: Vec<&str> = FLAGS.iter().filter(|(_, flag)| flags & flag != 0).map(|(name, _)| *name).collect();
    if named.len() == flags.count_ones() as usize { format!("[{}]", named.join(", ")) } else { format!("{flags:#x}") }
}

fn field(field: &ValueField) -> String {
    let of = field.of.as_ref().map_or_else(String::new, |of| format!(", of: {}", scalar(of)));
    format!("{{kind: {}, offset: {}{of}}}", field.kind.name(), field.offset)
}

/// An element of a map; its values, where each CPU has its own.
fn element(def: Option<&MapDef>, (key, value): &Element) -> String {
    let key = if key.is_empty() { String::new() } else { format!("key: {}, ", quoted(&hex(key))) };
    let own = def.filter(|def| def.is_per_cpu() && value.len() != def.value_size as usize);
    let Some(len) = own.map(|def| def.value_size as usize) else {
        return format!("{{{key}value: {}}}", quoted(&hex(value)));
    };
    let values: Vec<String> =
        value.chunks(len.next_multiple_of(8)).map(|value| quoted(&hex(&value[..len.min(value.len())]))).collect();
    format!("{{{key}values: [{}]}}", values.join(", "))
}

/// A string as it stands where YAML takes it for one, else quoted.
fn scalar(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || " _-+./()=<>".contains(c);
    let word = text.to_ascii_lowercase();
    let reserved = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&word.as_str());
    if text.starts_with(first) && text.chars().all(rest) && !text.ends_with(' ') && !reserved {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A string in double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(c),
            _ => drop(write!(out, "\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// The settings of a world that differ from the default, as YAML in one line.
fn settings(world: &WorldConfig) -> String {
    let value = |world| serde_yaml::to_value(world).expect("settings are plain data");
    let (ours, default) = (value(world), value(&WorldConfig::default()));
    differing(&ours, &default).map_or_else(|| "{}".to_owned(), |settings| flow(&settings))
}

/// What of `ours` is not as in `default`.
fn differing(ours: &Value, default: &Value) -> Option<Value> {
    let (Value::Mapping(ours), Value::Mapping(default)) = (ours, default) else {
        return (ours != default).then(|| ours.clone());
    };
    let fields = ours.iter().filter_map(|(name, value)| {
        let value = default.get(name).map_or_else(|| Some(value.clone()), |default| differing(value, default))?;
        Some((name.clone(), value))
    });
    Some(Value::Mapping(fields.collect())).filter(|value| value.as_mapping().is_some_and(|all| !all.is_empty()))
}

/// A value in YAML's flow style.
fn flow(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Sequence(all) => format!("[{}]", joined(all.iter().map(flow).collect())),
        Value::Mapping(all) => {
            let field = |(name, value): (&Value, &Value)| {
                format!("{}: {}", name.as_str().map_or_else(|| flow(name), scalar), flow(value))
            };
            format!("{{{}}}", joined(all.iter().map(field).collect()))
        }
        Value::Tagged(tagged) => flow(&tagged.value),
    }
}

//! `touchstone map`: makes a map and does to it what user space and programs do, and says what comes of each.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use corpus::text;
use semantics::map::{Batch, Errno, FLAGS, Map, MapDef, MapError, MapType, Setting, update};
use semantics::memory::{Memory, layout};
use semantics::world::CpuConfig;
use serde_json::{Value, json};

use crate::{Format, Status};

/// What `--format json` prints, and what can be done.
const HELP: &str =
    "Commands; KEY and VALUE are hexadecimal digits, `-` for none, FLAGS a number or any, noexist, exist, lock:
  lookup KEY [FLAGS]             the value; of a queue or stack: lookup -; of a bloom filter: lookup - VALUE
  update KEY VALUE [FLAGS]       a value given once is that of all CPUs
  delete KEY
  next [KEY]                     the key behind it, or the first
  take KEY [FLAGS]               lookup and delete; of a queue or stack: take -
  freeze                         user space changes nothing any more
  lookup-batch COUNT [FROM], take-batch COUNT [FROM]
  program-lookup KEY, program-update KEY VALUE [FLAGS], program-delete KEY
  program-push VALUE [FLAGS], program-pop, program-peek [VALUE]
  cpu N                          goes on on this CPU; the map is emptied

JSON: {map, created, errno, reason, commands: [{command, result, errno, value, key, elements, next}], elements}.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The map: `TYPE,KEY_SIZE,VALUE_SIZE,MAX_ENTRIES`
    definition: String,
    /// Commands, one per argument
    commands: Vec<String>,
    /// Creation flags: names without `BPF_F_` in lower case, or a number
    #[arg(long, value_delimiter = ',')]
    flags: Vec<String>,
    /// `map_extra`: how many hash functions a bloom filter has
    #[arg(long, default_value_t = 0)]
    extra: u64,
    /// What inner maps of a map of maps look like, as DEFINITION: one such map is made, number 0
    #[arg(long, value_name = "DEFINITION")]
    inner: Option<String>,
    /// How many CPUs there are
    #[arg(long, default_value_t = CpuConfig::default().count, value_parser = clap::value_parser!(u32).range(1..=i64::from(CpuConfig::MAX)))]
    cpus: u32,
    /// What hash functions start from, without the flag `zero_seed`
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// A file with more commands, one per line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What a command came to.
#[derive(Debug, Default)]
struct Answer {
    errno: Option<Errno>,
    bytes: Option<Vec<u8>>,
    /// Whether the bytes are a key.
    is_key: bool,
    batch: Option<Batch>,
}

impl From<Result<(), Errno>> for Answer {
    fn from(done: Result<(), Errno>) -> Answer {
        Answer { errno: done.err(), ..Answer::default() }
    }
}

impl From<Result<Vec<u8>, Errno>> for Answer {
    fn from(read: Result<Vec<u8>, Errno>) -> Answer {
        match read {
            Ok(bytes) => Answer { bytes: Some(bytes), ..Answer::default() },
            Err(errno) => Answer { errno: Some(errno), ..Answer::default() },
        }
    }
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let mut def = definition("map", &args.definition)?;
    def.flags = flags(&args.flags)?;
    def.extra = args.extra;
    let inner = args.inner.as_deref().map(|text| definition("inner", text)).transpose()?;
    def.inner = inner.clone().map(Box::new);
    let defs: Vec<MapDef> = inner.into_iter().chain([def]).collect();
    let mut memory = Memory::detached()?;
    let map = match Map::create(&defs, defs.len() - 1, &mut memory) {
        Ok(map) => map,
        Err(MapError::Refused { errno, reason, .. }) => return refused(args, errno, reason, out),
        Err(error) => return Err(error.into()),
    };
    if let Some(lack) = map.def.lack() {
        bail!("{lack}");
    }
    let setting = Setting { cpus: args.cpus, current: 0, seed: args.seed };
    let mut session = Session { map, memory, setting };
    session.map.reset(&mut session.memory, &setting);
    let mut answers = Vec::new();
    for command in commands(args)? {
        let answer = session.command(&command).with_context(|| format!("`{command}`"))?;
        if args.format == Format::Text {
            writeln!(out, "{command}: {}", answer.text())?;
        }
        answers.push((command, answer));
    }
    session.show(args.format, &answers, out)?;
    Ok(Status::Fine)
}

fn refused(args: &Args, errno: Errno, reason: &str, out: &mut dyn Write) -> anyhow::Result<Status> {
    match args.format {
        Format::Text => writeln!(out, "the kernel refuses it: {}, {reason}", named(errno))?,
        Format::Json => {
            let value = json!({"map": args.definition, "created": false, "errno": errno.name(), "reason": reason});
            crate::json(out, &value)?;
        }
    }
    Ok(Status::Findings)
}

fn named(errno: Errno) -> String {
    format!("-{} ({})", errno.name(), errno.number())
}

/// A map as the command line defines it.
fn definition(name: &str, text: &str) -> anyhow::Result<MapDef> {
    let parts: Vec<&str> = text.split(',').collect();
    let [map_type, sizes @ ..] = &parts[..] else { bail!("a map is written TYPE,KEY_SIZE,VALUE_SIZE,MAX_ENTRIES") };
    let map_type = MapType::from_name(map_type).ok_or_else(|| anyhow!("Linux has no map type `{map_type}`"))?;
    let number = |text: &&str| {
        let number = text::number(text).and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| anyhow!("`{text}` is not a number of 32 bits"))
    };
    match sizes.iter().map(number).collect::<anyhow::Result<Vec<u32>>>()?[..] {
        [key, value, entries] => Ok(MapDef::new(name, map_type, key, value, entries)),
        _ => bail!("a map is written TYPE,KEY_SIZE,VALUE_SIZE,MAX_ENTRIES"),
    }
}

fn flags(words: &[String]) -> anyhow::Result<u32> {
    words.iter().try_fold(0, |flags, word| {
        let named = FLAGS.iter().find(|(name, _)| name == word).map(|(_, flag)| *flag);
        let flag = named.or_else(|| text::number(word).and_then(|number| u32::try_from(number).ok()));
        flag.map(|flag| flags | flag).ok_or_else(|| anyhow!("there is no creation flag `{word}`"))
    })
}

fn commands(args: &Args) -> anyhow::Result<Vec<String>> {
    let mut all = args.commands.clone();
    if let Some(path) = &args.script {
        let bytes = crate::input::read(path)?;
        for line in bytes.lines() {
            let line = line.with_context(|| path.display().to_string())?;
            let command = line.split('#').next().unwrap_or_default().trim();
            if !command.is_empty() {
                all.push(command.to_owned());
            }
        }
    }
    Ok(all)
}

struct Session {
    map: Map,
    memory: Memory,
    setting: Setting,
}

impl Session {
    fn command(&mut self, command: &str) -> anyhow::Result<Answer> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (map, memory) = (&mut self.map, &mut self.memory);
        let bytes = |at: usize| argument(&words, at);
        let flags = |at: usize| words.get(at).map_or(Ok(update::ANY), |word| update_flags(word));
        let most = |count: usize| match words.len() {
            found if found <= count + 1 => Ok(()),
            _ => Err(anyhow!("it takes at most {count} arguments")),
        };
        Ok(match *words.first().ok_or_else(|| anyhow!("an empty command"))? {
            "lookup" => {
                most(2)?;
                let asks = map.def.map_type == MapType::BLOOM_FILTER;
                let (asked, flags) = if asks { (bytes(2)?, update::ANY) } else { (None, flags(2)?) };
                map.user_lookup(memory, bytes(1)?.as_deref(), asked.as_deref(), flags).into()
            }
            "update" => {
                most(3)?;
                let value = bytes(2)?.map(|value| map.user_value(&value));
                map.user_update(memory, bytes(1)?.as_deref(), value.as_deref(), flags(3)?).into()
            }
            "delete" => {
                most(1)?;
                map.user_delete(memory, bytes(1)?.as_deref()).into()
            }
            "next" => {
                most(1)?;
                Answer { is_key: true, ..map.user_next_key(bytes(1)?.as_deref()).into() }
            }
            "take" => {
                most(2)?;
                map.user_lookup_and_delete(memory, bytes(1)?.as_deref(), flags(2)?).into()
            }
            "freeze" => {
                most(0)?;
                map.user_freeze().into()
            }
            of @ ("lookup-batch" | "take-batch") => {
                most(2)?;
                let count =
                    words.get(1).and_then(|word| text::number(word)).context("it takes a number of elements")?;
                let batch = map.user_lookup_batch(memory, bytes(2)?.as_deref(), count as usize, 0, of == "take-batch");
                Answer { errno: batch.error, batch: Some(batch), ..Answer::default() }
            }
            "cpu" => {
                most(1)?;
                let cpu =
                    words.get(1).and_then(|word| text::number(word)).filter(|cpu| *cpu < self.setting.cpus.into());
                self.setting.current = cpu.with_context(|| format!("there are {} CPUs", self.setting.cpus))? as u32;
                map.reset(memory, &self.setting);
                Answer::default()
            }
            of => return self.program(of, &words),
        })
    }

    /// What programs do.
    fn program(&mut self, of: &str, words: &[&str]) -> anyhow::Result<Answer> {
        let (map, memory) = (&mut self.map, &mut self.memory);
        let sized = |at: usize, len: u32| -> anyhow::Result<Vec<u8>> {
            let bytes = argument(words, at)?.unwrap_or_default();
            if bytes.len() == len as usize {
                Ok(bytes)
            } else {
                bail!("argument {at} has {} bytes, not {len}", bytes.len())
            }
        };
        let flags = |at: usize| words.get(at).map_or(Ok(update::ANY), |word| update_flags(word));
        let (key_len, len) = (map.def.key_size, map.def.value_size);
        Ok(match of {
            "program-lookup" => {
                let found = map.ops.lookup(&sized(1, key_len)?);
                let bytes = found.map(|addr| match layout::map_of_handle(addr) {
                    Some(map) => (map as u32).to_le_bytes().to_vec(),
                    None => memory.peek(addr, len.into()).to_vec(),
                });
                bytes.ok_or(Errno::Enoent).into()
            }
            "program-update" => map.ops.update(memory, &sized(1, key_len)?, &sized(2, len)?, flags(3)?).into(),
            "program-delete" => map.ops.delete(memory, &sized(1, key_len)?).into(),
            "program-push" => map.ops.push(&sized(1, len)?, flags(2)?).into(),
            "program-pop" | "program-peek" => {
                let is_asked = of == "program-peek" && words.len() > 1;
                let mut value = if is_asked { sized(1, len)? } else { vec![0; len as usize] };
                let done = if of == "program-pop" { map.ops.pop(&mut value) } else { map.ops.peek(&mut value) };
                done.map(|()| value).into()
            }
            _ => bail!("there is no such command"),
        })
    }

    /// What the map holds in the end.
    fn show(&self, format: Format, answers: &[(String, Answer)], out: &mut dyn Write) -> anyhow::Result<()> {
        let mut elements = Vec::new();
        self.map.each_value(&self.memory, &mut |key, value| elements.push((text::hex(key), text::hex(value))));
        match format {
            Format::Text => {
                writeln!(out, "{}: {} elements", self.map.def.map_type, elements.len())?;
                for (key, value) in elements {
                    writeln!(out, "  {}{value}", if key.is_empty() { key } else { key + " " })?;
                }
            }
            Format::Json => {
                let pairs = |all: &[(String, String)]| -> Value {
                    all.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
                };
                let commands: Value = answers.iter().map(|(command, answer)| answer.json(command)).collect();
                let of = self.map.def.map_type.name();
                crate::json(
                    out,
                    &json!({"map": of, "created": true, "commands": commands, "elements": pairs(&elements)}),
                )?;
            }
        }
        Ok(())
    }
}

/// Bytes of an argument; `None` for none.
fn argument(words: &[&str], at: usize) -> anyhow::Result<Option<Vec<u8>>> {
    match words.get(at) {
        None | Some(&"-") => Ok(None),
        Some(word) => text::bytes(word).map(Some).with_context(|| format!("argument {at}")),
    }
}

fn update_flags(word: &str) -> anyhow::Result<u64> {
    let names = [("any", update::ANY), ("noexist", update::NOEXIST), ("exist", update::EXIST), ("lock", update::LOCK)];
    let named = names.iter().find(|(name, _)| *name == word).map(|(_, flag)| *flag);
    named.or_else(|| text::number(word)).ok_or_else(|| anyhow!("there is no flag `{word}`"))
}

impl Answer {
    fn text(&self) -> String {
        let mut text = match (&self.bytes, self.errno) {
            (_, Some(errno)) => named(errno),
            (Some(bytes), None) if !bytes.is_empty() => text::hex(bytes),
            _ => "0".to_owned(),
        };
        if let Some(batch) = &self.batch {
            text = format!("{text}, {} elements", batch.count);
            let element = |(key, value): &(Vec<u8>, Vec<u8>)| format!("\n  {} {}", text::hex(key), text::hex(value));
            text.extend(batch.elements.iter().map(element));
            text.extend(batch.next.as_ref().map(|next| format!("\n  next {}", text::hex(next))));
        }
        text
    }
    fn json(&self, command: &str) -> Value {
        let mut value = json!({"command": command, "result": self.errno.map_or(0, |errno| -errno.number())});
        if let Some(errno) = self.errno {
            value["errno"] = errno.name().into();
        }
        if let Some(bytes) = &self.bytes {
            value[if self.is_key { "key" } else { "value" }] = text::hex(bytes).into();
        }
        if let Some(batch) = &self.batch {
            let element = |(key, value): &(Vec<u8>, Vec<u8>)| json!({"key": text::hex(key), "value": text::hex(value)});
            value["elements"] = batch.elements.iter().map(element).collect();
            value["next"] = batch.next.as_ref().map(|next| text::hex(next)).into();
        }
        value
    }
}

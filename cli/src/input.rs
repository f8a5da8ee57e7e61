//! Programs as the command line names them: objects, case files, assembly, hexadecimal slots.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use corpus::case::Malformed;
use corpus::{Case, pcap, text};
use semantics::encoding::{DecodeError, DecodeErrorKind};
use semantics::insn::Version;
use semantics::loader::LoadError;
use semantics::map::{self, MapDef, MapType};
use semantics::program::{Program, ProgramError};
use semantics::program_type::ProgramType;
use semantics::{asm, encoding, loader};

/// Which program.
#[derive(Clone, Debug, clap::Args)]
pub struct Source {
    /// An ELF object, a YAML case file, slots as hexadecimal digits or as raw bytes, or assembly; `-` is standard input
    pub path: PathBuf,
    /// The section or function of an object that has several programs, or `section/function`
    #[arg(long)]
    pub section: Option<String>,
    /// The kernel's types that an object is relocated against: raw BTF such as /sys/kernel/btf/vmlinux, or an ELF file with a
    /// section .BTF; without it, the types of the modelled kernel
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// The case of a file that has several
    #[arg(long)]
    pub case: Option<String>,
    /// The program type of assembly, hexadecimal slots, or an object whose section does not say it
    #[arg(long = "type", value_name = "TYPE", value_parser = program_type)]
    pub program_type: Option<ProgramType>,
    /// A map of assembly or hexadecimal slots: `NAME=TYPE,KEY_SIZE,VALUE_SIZE,MAX_ENTRIES`
    #[arg(long = "map", value_name = "DEFINITION", value_parser = map_def)]
    pub maps: Vec<MapDef>,
}

/// A program, and the case that it came in.
#[derive(Debug)]
pub struct Loaded {
    /// The program.
    pub program: Arc<Program>,
    /// The case, if it came in a case file.
    pub case: Option<Case>,
}

fn program_type(name: &str) -> Result<ProgramType, String> {
    let all = || ProgramType::ALL.map(ProgramType::name).join(", ");
    ProgramType::from_name(name).ok_or_else(|| format!("Linux has no such program type; there are: {}", all()))
}

fn map_def(text: &str) -> Result<MapDef, String> {
    let shape = "a map is written NAME=TYPE,KEY_SIZE,VALUE_SIZE,MAX_ENTRIES";
    let (name, rest) = text.split_once('=').ok_or(shape)?;
    let parts: Vec<&str> = rest.split(',').collect();
    let [map_type, key_size, value_size, max_entries] = parts[..] else { return Err(shape.to_owned()) };
    let map_type = MapType::from_name(map_type).ok_or_else(|| format!("Linux has no map type `{map_type}`"))?;
    let number = |text: &str| {
        text::number(text)
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| format!("`{text}` is not a number of 32 bits"))
    };
    let (key_size, value_size, max_entries) = (number(key_size)?, number(value_size)?, number(max_entries)?);
    let def = MapDef::new(name, map_type, key_size, value_size, max_entries);
    map::check(&def).map_err(|error| error.to_string())?;
    Ok(def)
}

impl Source {
    /// Reads and checks the program.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        let bytes = read(&self.path)?;
        if is_yaml(&self.path) {
            let text = self.utf8(bytes)?;
            return self.choose(corpus::read::parse(&text, &self.path)?);
        }
        let program = if bytes.starts_with(b"\x7fELF") {
            self.object(&bytes).with_context(|| self.path.display().to_string())?
        } else if is_raw(&bytes) {
            self.program(encoding::decode(&bytes).with_context(|| self.path.display().to_string())?)?
        } else {
            let text = self.utf8(bytes)?;
            self.program(self.insns(&text)?)?
        };
        Ok(Loaded { program: Arc::new(program), case: None })
    }

    /// Each program of an object with its name, of which one is chosen or none; of anything else the one program. A program
    /// of several that cannot be loaded is an error of its own.
    pub fn load_all(&self) -> anyhow::Result<Vec<(String, anyhow::Result<Arc<Program>>)>> {
        if self.section.is_none() && !is_yaml(&self.path) && self.path != Path::new("-") {
            let bytes = read(&self.path)?;
            let path = || self.path.display().to_string();
            if bytes.starts_with(b"\x7fELF") {
                let object = loader::Object::parse(&bytes).with_context(path)?;
                let programs = object.programs();
                if programs.len() > 1 {
                    let btf = self.types()?;
                    let options = self.options(btf.as_ref());
                    let loaded = object.load_all(&options).map(|program| Ok(Arc::new(program.with_context(path)?)));
                    return Ok(programs.into_iter().map(|of| of.program).zip(loaded).collect());
                }
            }
        }
        let program = self.load()?.program;
        Ok(vec![(program.name().to_owned(), Ok(program))])
    }

    /// The kernel's types, if a file with them is named.
    fn types(&self) -> anyhow::Result<Option<loader::Btf>> {
        let types = |path: &PathBuf| {
            loader::read_btf(&read(path)?).with_context(|| format!("types of the kernel: {}", path.display()))
        };
        self.btf.as_ref().map(types).transpose()
    }

    fn options<'b>(&self, btf: Option<&'b loader::Btf>) -> loader::LoadOptions<'b> {
        loader::LoadOptions { btf, program_type: self.program_type, ..loader::LoadOptions::default() }
    }

    /// The chosen program of an object.
    fn object(&self, bytes: &[u8]) -> anyhow::Result<Program> {
        let btf = self.types()?;
        Ok(loader::Object::parse(bytes)?.load(self.section.as_deref(), &self.options(btf.as_ref()))?)
    }

    fn utf8(&self, bytes: Vec<u8>) -> anyhow::Result<String> {
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            anyhow!("{}: byte {at}: neither an ELF object nor text", self.path.display())
        })
    }

    /// Assembly or hexadecimal slots.
    fn insns(&self, text: &str) -> anyhow::Result<Vec<semantics::insn::Insn>> {
        let path = self.path.display();
        if is_hex(text) {
            let bytes = text::bytes(text).with_context(|| path.to_string())?;
            return encoding::decode(&bytes).with_context(|| path.to_string());
        }
        let index = |name: &str| self.maps.iter().position(|map| map.name == name).map(|at| at as u32);
        asm::assemble_with(text, asm::Options { maps: &index, ..asm::Options::default() })
            .map_err(|error| anyhow!("{path}:{}:{}: {}", error.line, error.column, error.kind))
    }

    fn program(&self, insns: Vec<semantics::insn::Insn>) -> anyhow::Result<Program> {
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let program_type = self.program_type.unwrap_or(ProgramType::SocketFilter);
        Program::new(name, program_type, "GPL", self.maps.clone(), insns)
            .with_context(|| self.path.display().to_string())
    }

    fn choose(&self, cases: Vec<Case>) -> anyhow::Result<Loaded> {
        let path = self.path.display();
        let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
        let mut chosen = cases
            .into_iter()
            .filter(|case| self.case.as_ref().is_none_or(|name| case.name == *name))
            .collect::<Vec<_>>();
        match chosen.len() {
            1 => {}
            0 => bail!("{path}: there is no case `{}`", self.case.as_deref().unwrap_or_default()),
            _ => bail!("{path}: choose one of its cases with --case: {}", names.join(", ")),
        }
        let case = chosen.remove(0);
        let program = case.program().with_context(|| format!("{path}: case `{}`", case.name))?;
        Ok(Loaded { program: Arc::new(program), case: Some(case) })
    }
}

/// Whether a program was not loaded for what a verifier would refuse: slots that are no instructions, jumps that lead
/// nowhere, instructions that this version of Linux does not have. Else the input is bad, or something is not modelled.
pub fn is_refusal(error: &anyhow::Error, version: Version) -> bool {
    // To a Linux before its time an instruction is as reserved as any.
    let decode =
        |error: &DecodeError| !matches!(error.kind, DecodeErrorKind::Unsupported { since, .. } if since <= version);
    match error.downcast_ref::<LoadError>() {
        Some(LoadError::Decode { error, .. }) => return decode(error),
        Some(LoadError::Program { .. }) => return true,
        _ => {}
    }
    error.downcast_ref::<DecodeError>().is_some_and(decode)
        || error.downcast_ref::<ProgramError>().is_some()
        || error.downcast_ref::<Malformed>().is_some_and(Malformed::is_rejection)
}

/// The bytes of a file or of standard input.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| path.display().to_string())
}

/// Whether a file holds cases.
pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Whether these are slots as they lie in memory: whole ones, and no text.
fn is_raw(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
    !bytes.is_empty() && bytes.len().is_multiple_of(encoding::SLOT_LEN) && !text
}

/// Whether a text is hexadecimal digits and blanks only.
fn is_hex(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().all(|c| c.is_ascii_hexdigit() || c.is_ascii_whitespace())
}

/// A packet of the command line.
#[derive(Debug)]
pub struct Packet {
    /// File and number, if it is one of a capture.
    pub from: Option<String>,
    /// Its bytes, or why it is not one to run on.
    pub bytes: anyhow::Result<Vec<u8>>,
}

/// The packets that an argument names: hexadecimal digits, the path of a file with the bytes of one packet, or that of a
/// capture, with `#N` for its packet number N from 1. `any_link`: also packets that do not begin with an Ethernet header;
/// `cut`: also those whose end was not captured.
pub fn packets(argument: &str, any_link: bool, cut: bool) -> anyhow::Result<Vec<Packet>> {
    let hex = match text::bytes(argument) {
        Ok(bytes) => return Ok(vec![Packet { from: None, bytes: Ok(bytes) }]),
        Err(error) => error,
    };
    let (path, number) = capture_path(argument);
    if !path.exists() {
        bail!("packet `{argument}`: neither a file nor hexadecimal: {hex}");
    }
    let file = read(path)?;
    if !pcap::is_capture(&file) {
        if number.is_some() {
            bail!("packet `{argument}`: {}: {}", path.display(), pcap::CaptureErrorKind::NotACapture);
        }
        return Ok(vec![Packet { from: None, bytes: Ok(file) }]);
    }
    let place = || path.display().to_string();
    let mut found = Vec::new();
    for (at, packet) in pcap::packets(&file).with_context(place)?.enumerate() {
        let from = format!("{}#{}", path.display(), at + 1);
        match (number, packet) {
            (Some(number), Ok(_)) if number != at + 1 => found.clear(),
            (_, Ok(packet)) => found.push(Packet { from: Some(from), bytes: usable(packet, any_link, cut) }),
            // What was read before it is run.
            (_, Err(error)) => found.push(Packet { from: Some(from), bytes: Err(error.into()) }),
        }
        if number == Some(at + 1) {
            return Ok(found);
        }
    }
    let Some(number) = number else { return Ok(found) };
    // The capture is broken before it.
    if let Some(Packet { bytes: Err(error), .. }) = found.pop() {
        return Err(error.context(place()));
    }
    let count = pcap::packets(&file).with_context(place)?.count();
    bail!("packet `{argument}`: {} has packets 1 to {count}, not {number}", path.display())
}

/// Whether an argument names all packets of a capture.
pub fn is_whole_capture(argument: &str) -> bool {
    let (path, number) = capture_path(argument);
    let is_capture = || {
        let mut magic = [0; 4];
        std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && pcap::is_capture(&magic)
    };
    text::bytes(argument).is_err() && number.is_none() && is_capture()
}

/// The path of an argument, and the number behind its `#`.
fn capture_path(argument: &str) -> (&Path, Option<usize>) {
    let numbered = argument.rsplit_once('#').filter(|_| !Path::new(argument).exists());
    match numbered.and_then(|(path, number)| Some((path, number.parse().ok()?))) {
        Some((path, number)) => (Path::new(path), Some(number)),
        None => (Path::new(argument), None),
    }
}

/// The bytes of a captured packet, if it is one to run on.
fn usable(packet: pcap::Packet<'_>, any_link: bool, cut: bool) -> anyhow::Result<Vec<u8>> {
    if packet.link != pcap::LinkType::ETHERNET && !any_link {
        bail!("it begins as {}, not with an Ethernet header; --link any runs it all the same", packet.link);
    }
    if packet.is_cut() && !cut {
        let (have, all) = (packet.bytes.len(), packet.len);
        bail!("the capture has {have} of its {all} bytes; --cut runs it all the same");
    }
    Ok(packet.bytes.to_vec())
}

//! Engines as the command line names them: our own, and the kernels in `.kernels/`.

use anyhow::Context;
use linux::{LinuxEngine, Machines, Settings, kernel};
use semantics::engine::{EngineId, LinuxVersion};

/// What `--engine` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The interpreter and the JIT.
    Both,
    /// One engine.
    Engine(EngineId),
}

/// The engine of this name.
pub fn named(name: &str) -> Result<Named, String> {
    match name.parse() {
        _ if name == "both" => Ok(Named::Both),
        // The JIT's configurations have options of their own.
        Ok(EngineId::JitNoBmi2 | EngineId::JitBlinded) | Err(_) => {
            Err(format!("there is no engine {name}; there are: {}", there(&["interpreter", "jit", "both"])))
        }
        Ok(engine) => Ok(Named::Engine(engine)),
    }
}

/// The kernel's engine of this name.
pub fn linux(name: &str) -> Result<EngineId, String> {
    match name.parse() {
        Ok(engine @ EngineId::Linux(..)) => Ok(engine),
        _ => Err(format!("there is no kernel's engine {name}; there are: {}", there(&[]))),
    }
}

/// The kernel of this name.
pub fn kernel(name: &str) -> Result<LinuxVersion, String> {
    let version = name.strip_prefix("linux-").unwrap_or(name).parse();
    version.map_err(|_| format!("there is no kernel {name}; there are: {}", kernels()))
}

/// Names of the kernels that there are.
pub fn kernels() -> String {
    let all = linux::Kernel::all(&kernel::folder());
    let names: Vec<String> = all.iter().map(|kernel| format!("linux-{}", kernel.version)).collect();
    if names.is_empty() { "none, `make linux` gets them".to_owned() } else { names.join(", ") }
}

/// Names of engines: these, and those of kernels.
pub fn there(own: &[&str]) -> String {
    let kernels = linux::engine::engines(&kernel::folder());
    let all: Vec<String> =
        own.iter().map(|name| (*name).to_owned()).chain(kernels.iter().map(ToString::to_string)).collect();
    match (all.is_empty(), kernels.is_empty()) {
        (true, _) => "none, `make linux` gets kernels".to_owned(),
        (false, true) => format!("{}, and those of kernels that `make linux` gets", all.join(", ")),
        (false, false) => all.join(", "),
    }
}

/// Whether there are kernels for all of these.
pub fn are_there(engines: &[EngineId]) -> Result<(), linux::KernelError> {
    let versions = engines.iter().filter_map(|engine| match engine {
        EngineId::Linux(version, _) => Some(version.to_string()),
        _ => None,
    });
    versions.into_iter().try_for_each(|version| linux::Kernel::find(&kernel::folder(), &version).map(|_| ()))
}

/// The kernel's engines among these, on one guest per kernel, ready to be asked.
pub fn start(engines: &[EngineId]) -> anyhow::Result<Vec<LinuxEngine>> {
    let mut machines = Machines::new(Settings::default());
    let mut started = Vec::new();
    for engine in engines {
        let EngineId::Linux(version, mode) = *engine else { continue };
        let mut engine = machines.engine(&kernel::folder(), version, mode)?;
        engine.start().with_context(|| format!("linux-{version}"))?;
        started.push(engine);
    }
    Ok(started)
}

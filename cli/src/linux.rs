//! `touchstone linux`: the real kernels that there are, and what a guest with one of them is like.

use std::io::Write;
use std::time::Instant;

use ::linux::{Accel, Kernel, KernelError, Machine, Settings, kernel, sample};
use anyhow::ensure;
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use wire::Stage;

use crate::{Format, Status};

mod image;

/// What `--format json` prints.
const JSON: &str = "JSON: [{version, release, suite, package, package_version, accelerator}]; boot: {version, release, \
    accelerator, boot_seconds, cases_per_second, jit_and_interpreter, btf, options: {name: value}}.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A program's native code as a kernel makes it, beside ours, and the instructions as its verifier translated them
    Image(image::Args),
    /// Boot a guest, and tell how long it takes, how many cases it does, and what its kernel has
    Boot {
        /// The kernel, such as `6.1`
        version: String,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    match &args.command {
        None => list(args.format, out),
        Some(Command::Boot { version, format }) => boot(version, *format, out),
        Some(Command::Image(args)) => image::run(args, out),
    }
}

fn list(format: Format, out: &mut dyn Write) -> anyhow::Result<Status> {
    let folder = kernel::folder();
    let kernels = Kernel::all(&folder);
    let accel = Accel::of(&folder)?;
    if kernels.is_empty() && format == Format::Text {
        return Err(KernelError::None(folder).into());
    }
    let row = |kernel: &Kernel| {
        let package = kernel.package().unwrap_or_default();
        [kernel.version.clone(), package.release, package.suite, package.package, package.version, accel.to_string()]
    };
    let rows: Vec<[String; 6]> = kernels.iter().map(row).collect();
    if format == Format::Json {
        let names = ["version", "release", "suite", "package", "package_version", "accelerator"];
        let object = |row: [String; 6]| -> Value {
            names.into_iter().zip(row).map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
        };
        crate::json(out, &rows.into_iter().map(object).collect())?;
        return Ok(Status::Fine);
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["kernel", "release", "suite", "package", "version", "accelerator"]).add_rows(rows);
    writeln!(out, "{table}")?;
    Ok(Status::Fine)
}

/// Options of a kernel's configuration that decide what it does with programs.
const OPTIONS: [&str; 10] = [
    "BPF_JIT",
    "BPF_JIT_ALWAYS_ON",
    "BPF_JIT_DEFAULT_ON",
    "BPF_UNPRIV_DEFAULT_OFF",
    "BPF_LSM",
    "BPF_STREAM_PARSER",
    "DEBUG_INFO_BTF",
    "FUNCTION_ERROR_INJECTION",
    "NET_CLS_ACT",
    "HZ",
];

/// Cases that the throughput is measured on.
const CASES: u32 = 100;

fn boot(version: &str, format: Format, out: &mut dyn Write) -> anyhow::Result<Status> {
    let kernel = Kernel::find(&kernel::folder(), version)?;
    let mut machine = Machine::new(kernel.clone(), Settings::default());
    let (release, seconds, accel) = {
        let guest = machine.guest()?;
        (guest.release.clone(), guest.boot_time.as_secs_f64(), guest.accel.clone())
    };
    let (rate, engines) = throughput(&mut machine)?;
    let attached = machine.ask_one(&sample::attached())??;
    let btf = attached.trials.iter().all(|trial| trial.load.result.is_ok());
    let options = OPTIONS.into_iter().filter_map(|name| Some((name, kernel.option(name)?)));
    if format == Format::Json {
        let options: Value = options.map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        let value = json!({
            "version": version, "release": release, "accelerator": accel.to_string(), "boot_seconds": seconds,
            "cases_per_second": rate, "jit_and_interpreter": engines, "btf": btf, "options": options,
        });
        crate::json(out, &value)?;
    } else {
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        writeln!(out, "Linux {release} ({accel})")?;
        writeln!(out, "start to first word      {seconds:.1} s")?;
        writeln!(out, "small cases per second   {rate:.0} (each under JIT and interpreter, log level 2)")?;
        writeln!(out, "switches engines         {}", yes(engines))?;
        writeln!(out, "types of its own (BTF)   {}", yes(btf))?;
        for (name, value) in options {
            writeln!(out, "CONFIG_{name}={value}")?;
        }
    }
    Ok(Status::of(engines && btf))
}

/// Small cases per second, and whether each ran under both engines.
fn throughput(machine: &mut Machine) -> anyhow::Result<(f64, bool)> {
    let jobs: Vec<_> = (0..CASES).map(sample::small).collect();
    // The first one has to find out more than the others.
    machine.ask_one(&jobs[0])??;
    let (start, mut answers) = (Instant::now(), Vec::new());
    machine.ask(&jobs, &mut |_, given| answers.push(given))?;
    let rate = f64::from(CASES) / start.elapsed().as_secs_f64();
    let mut both = true;
    for (answer, number) in answers.into_iter().zip(0..) {
        for trial in answer?.trials {
            both &= !matches!(trial.load.result, Err((Stage::Engine | Stage::Fallback, _)));
            let returned = trial.runs.first().and_then(|run| run.as_ref().ok()).map(|ran| ran.retval);
            let fine = !both || returned == Some(number);
            ensure!(fine, "case {number} under {:?}: {:?} {:?}", trial.engine, trial.load.result, trial.runs);
        }
    }
    Ok((rate, both))
}

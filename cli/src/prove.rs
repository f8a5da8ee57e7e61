//! `touchstone prove`: the obligations, proven by the solver or checked at narrow widths.
//!
//! JSON and `JUnit` are the reports of the proofs crate.

use std::io::Write;

use crate::Status;

#[derive(Debug, clap::Args)]
#[cfg_attr(not(feature = "proofs"), allow(dead_code))]
pub struct Args {
    /// Only obligations whose names match; `*` stands for any text
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
    /// Only part K of N equal parts, K from 1
    #[arg(long, value_name = "K/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// At narrow widths, without the solver: quick, and no proof
    #[arg(long)]
    narrow: bool,
    /// Seconds that one query may take
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    /// Plant a mistake: then something must be refuted
    #[arg(long)]
    plant: Option<String>,
    /// A directory that remembers what is proven
    #[arg(long, value_name = "DIR")]
    cache: Option<std::path::PathBuf>,
    /// A directory for all queries as SMT-LIB 2 files
    #[arg(long, value_name = "DIR")]
    smt2: Option<std::path::PathBuf>,
    /// Put every query to a second solver as well (Bitwuzla, a Python package)
    #[arg(long)]
    second_opinion: bool,
    /// Where Python packages of solvers are installed
    #[arg(long, value_name = "DIR", default_value = ".solver")]
    packages: std::path::PathBuf,
    /// List obligations and mistakes that can be planted, and prove nothing
    #[arg(long)]
    list: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = ProveFormat::Text)]
    format: ProveFormat,
}

/// How to print a proof run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ProveFormat {
    Text,
    Json,
    Junit,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse::<usize>().ok()?, n.parse::<usize>().ok()?)));
    match parts {
        Some((k, n)) if (1..=n).contains(&k) => Ok((k - 1, n)),
        _ => Err("a shard is written K/N with K from 1 to N".to_owned()),
    }
}

#[cfg(not(feature = "proofs"))]
pub fn run(_: &Args, _: &mut dyn Write) -> anyhow::Result<Status> {
    anyhow::bail!("this touchstone was built without the feature `proofs`, which needs libz3")
}

#[cfg(feature = "proofs")]
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    use anyhow::Context;
    use proofs::runner::{self, Options, Width};

    let queries = || std::env::temp_dir().join(format!("touchstone-queries-{}", std::process::id()));
    let smt2 = args.smt2.clone().or_else(|| args.second_opinion.then(queries));
    for directory in [&args.cache, &smt2].into_iter().flatten() {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let options = Options {
        only: args.only.clone(),
        shard: args.shard,
        width: if args.narrow { Width::Narrow } else { Width::Full },
        timeout: std::time::Duration::from_secs(args.timeout),
        plant: args.plant.clone(),
        cache: args.cache.clone(),
        smt2: smt2.clone(),
        stop: crate::fuzz::interrupted()?,
        ..Options::default()
    };
    if args.list {
        for obligation in runner::select(&options)? {
            writeln!(out, "{} ({} cases)", obligation.name, obligation.cases())?;
        }
        for plant in proofs::plant::all() {
            writeln!(out, "plant {}: {}", plant.name, plant.story)?;
        }
        return Ok(Status::Fine);
    }
    let progress = args.format == ProveFormat::Text;
    let report = runner::run(&options, |finished| {
        // Progress that nobody reads is no failure of the proof.
        if progress {
            let _ = writeln!(std::io::stderr(), "{}", finished.line(options.width));
        }
    })?;
    match args.format {
        ProveFormat::Text => {
            for finished in report.results.iter().filter(|finished| finished.outcome.word() != "proven") {
                writeln!(out, "{}", finished.line(options.width))?;
            }
            writeln!(out, "{}", report.summary())?;
        }
        ProveFormat::Json => writeln!(out, "{}", report.json())?,
        ProveFormat::Junit => write!(out, "{}", report.junit())?,
    }
    let Some(directory) = smt2.filter(|_| args.second_opinion) else {
        return Ok(Status::of(report.is_success()));
    };
    let second = proofs::second::ask(&directory, &args.packages, options.timeout)?;
    if args.smt2.is_none() {
        std::fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
    }
    // On standard error, so that a JSON or XML report stays whole.
    let (agreed, unanswered) = (second.agreed, second.unanswered.len());
    let mut err = std::io::stderr();
    writeln!(err, "second opinion: {} queries, {agreed} agreed, {unanswered} unanswered", second.queries)?;
    for query in &second.disagreed {
        writeln!(err, "the solvers disagree on {}", query.display())?;
    }
    Ok(Status::of(report.is_success() && second.disagreed.is_empty()))
}

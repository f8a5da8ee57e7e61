//! What became of a suite, as text, JSON and `JUnit`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Args, Reply, SuiteFormat};

/// All cases of a suite with what became of them.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// File, case and reply.
    pub(super) cases: Vec<(PathBuf, String, Reply)>,
    /// What cannot be read, and why.
    pub(super) errors: Vec<(PathBuf, String)>,
}

impl Totals {
    /// Something cannot be read.
    pub(super) fn wrong(&mut self, path: &Path, why: &str) {
        // The reasons of files begin with their place.
        let place = path.display().to_string();
        let why = if why.starts_with(&place) { why.to_owned() } else { format!("{place}: {why}") };
        self.errors.push((path.to_owned(), why));
    }

    fn count(&self, of: impl Fn(&Reply) -> bool) -> usize {
        self.cases.iter().filter(|(.., reply)| of(reply)).count()
    }
    pub(super) fn passed(&self) -> usize {
        self.count(|reply| matches!(reply, Reply::Passed { .. }))
    }
    pub(super) fn failed(&self) -> usize {
        self.count(|reply| matches!(reply, Reply::Failed { .. }))
    }
    pub(super) fn skipped(&self) -> usize {
        self.count(|reply| matches!(reply, Reply::Skipped { .. }))
    }

    /// How many there are of each.
    fn tally<'a>(&'a self, what: impl Fn(&'a Reply) -> Option<&'a str>) -> BTreeMap<&'a str, usize> {
        let mut counts = BTreeMap::new();
        for name in self.cases.iter().filter_map(|(.., reply)| what(reply)) {
            *counts.entry(name).or_default() += 1;
        }
        counts
    }
    fn kinds(&self) -> BTreeMap<&str, usize> {
        self.tally(|reply| if let Reply::Failed { kind, .. } = reply { Some(kind) } else { None })
    }
    fn skips(&self) -> BTreeMap<&str, usize> {
        self.tally(|reply| if let Reply::Skipped { reason } = reply { Some(reason) } else { None })
    }
    fn notes(&self) -> BTreeMap<&str, usize> {
        self.tally(|reply| if let Reply::Passed { note } = reply { note.as_deref() } else { None })
    }

    /// Why cases were skipped, the `most` frequent reasons first.
    pub(super) fn reasons(&self, head: &str, most: usize, out: &mut dyn Write) -> std::io::Result<()> {
        let mut skips: Vec<(&str, usize)> = self.skips().into_iter().collect();
        skips.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        let rest = skips.split_off(most.min(skips.len()));
        for (reason, count) in skips {
            writeln!(out, "{count:6} skipped: {head}{reason}")?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let count: usize = rest.iter().map(|(_, count)| count).sum();
        writeln!(out, "{count:6} skipped: {head}{} more reasons, see `touchstone suite`", rest.len())
    }

    pub(super) fn report(&self, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
        match args.format {
            SuiteFormat::Text => Ok(self.text(out)?),
            SuiteFormat::Json => self.json(args, out),
            SuiteFormat::Junit => Ok(write!(out, "{}", self.junit(args))?),
        }
    }

    fn text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for (_, why) in &self.errors {
            writeln!(out, "UNREADABLE {why}")?;
        }
        for (kind, count) in self.kinds() {
            writeln!(out, "{count:6} failed: {kind}")?;
        }
        for (note, count) in self.notes() {
            writeln!(out, "{count:6} passed: {note}")?;
        }
        self.reasons("", usize::MAX, out)?;
        writeln!(out, "{} passed, {} failed, {} skipped", self.passed(), self.failed(), self.skipped())
    }

    fn json(&self, args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
        let failure = |(file, case, reply): &(PathBuf, String, Reply)| match reply {
            Reply::Failed { kind, why } => Some(json!({ "file": file, "case": case, "kind": kind, "why": why })),
            _ => None,
        };
        let error = |(file, why): &(PathBuf, String)| json!({ "file": file, "why": why });
        let whole = json!({
            "engine": args.engine.name(), "passed": self.passed(), "failed": self.failed(), "skipped": self.skipped(),
            "failures": self.cases.iter().filter_map(failure).collect::<Vec<_>>(),
            "skips": self.skips(), "notes": self.notes(),
            "errors": self.errors.iter().map(error).collect::<Vec<_>>(),
        });
        crate::json(out, &whole)
    }

    fn junit(&self, args: &Args) -> String {
        let (failed, skipped) = (self.failed(), self.skipped());
        let (tests, errors) = (self.cases.len() + self.errors.len(), self.errors.len());
        let engine = args.engine.name();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            xml,
            "<testsuite name=\"{engine}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"{errors}\" skipped=\"{skipped}\">"
        );
        for (file, case, reply) in &self.cases {
            let (class, name) = (escape(&file.display().to_string()), escape(case));
            let inside = match reply {
                Reply::Passed { .. } => String::new(),
                Reply::Failed { kind, why } => {
                    format!("<failure type=\"{}\" message=\"{}\"/>", escape(kind), escape(why))
                }
                Reply::Skipped { reason } => format!("<skipped message=\"{}\"/>", escape(reason)),
            };
            let _ = writeln!(xml, "  <testcase classname=\"{class}\" name=\"{name}\">{inside}</testcase>");
        }
        for (file, why) in &self.errors {
            let class = escape(&file.display().to_string());
            let error = format!("<error message=\"{}\"/>", escape(why));
            let _ = writeln!(xml, "  <testcase classname=\"{class}\" name=\"(the file)\">{error}</testcase>");
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

/// Text within a quoted attribute; what XML cannot hold becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\r' => escaped.push_str("&#13;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn attributes_hold_any_text() {
        assert_eq!(escape("a<b> & \"c\"\n\u{1}é"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}é");
    }
}

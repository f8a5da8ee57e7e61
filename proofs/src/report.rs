//! Reports for people (a table), for programs (JSON) and for CI (`JUnit` XML).

use crate::obligation::Outcome;
use crate::runner::{Finished, Report, Width};
use std::fmt::Write;

impl Outcome {
    /// `proven`, `refuted` or `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Proven => "proven",
            Outcome::Refuted(_) => "refuted",
            Outcome::Unknown { .. } => "unknown",
        }
    }
    /// What there is to say besides; empty if proven.
    pub fn detail(&self) -> String {
        match self {
            Outcome::Proven => String::new(),
            Outcome::Refuted(counterexample) => counterexample.to_string(),
            Outcome::Unknown { reason } => reason.to_string(),
        }
    }
}

impl Finished {
    /// One line of a table. At narrow widths nothing is proven, so what holds is called checked.
    pub fn line(&self, width: Width) -> String {
        let word = match (&self.outcome, width) {
            (Outcome::Proven, Width::Narrow) => "checked",
            (outcome, _) => outcome.word(),
        };
        let line = format!("{word:8} {:7.2} s {:5}  {}", self.seconds, self.cases, self.name);
        let detail = self.outcome.detail();
        if detail.is_empty() { line } else { format!("{line}\n         {detail}") }
    }
}

impl Report {
    /// A table with one line per obligation and a summary.
    pub fn text(&self) -> String {
        let lines = self.results.iter().map(|result| result.line(self.width) + "\n");
        format!("result        time cases  obligation\n{}{}\n", lines.collect::<String>(), self.summary())
    }
    /// One line.
    pub fn summary(&self) -> String {
        let (proven, refuted, unknown) = self.counts();
        let cases: usize = self.results.iter().map(|result| result.cases).sum();
        let work: f64 = self.results.iter().map(|result| result.seconds).sum();
        let verb = if self.width == Width::Narrow { "checked" } else { "proven" };
        let planted = self.plant.as_ref().map(|plant| format!(", with the mistake {plant}")).unwrap_or_default();
        format!(
            "{} obligations with {cases} cases: {proven} {verb}, {refuted} refuted, {unknown} unknown in {:.1} s ({work:.1} s of work){planted}",
            self.results.len(),
            self.seconds,
        )
    }
    /// One object with all results.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data")
    }
    /// One test case per obligation: refuted is a failure, unknown an error.
    pub fn junit(&self) -> String {
        let (_, refuted, unknown) = self.counts();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"proofs\" tests=\"{}\" failures=\"{refuted}\" errors=\"{unknown}\" time=\"{:.3}\">\n",
            self.results.len(),
            self.seconds
        );
        for result in &self.results {
            let (class, name) = result.name.rsplit_once("::").unwrap_or(("", &result.name));
            let element = match result.outcome {
                Outcome::Proven => String::new(),
                Outcome::Refuted(_) => format!("<failure message=\"{}\"/>", escape(&result.outcome.detail())),
                Outcome::Unknown { .. } => format!("<error message=\"{}\"/>", escape(&result.outcome.detail())),
            };
            let time = result.seconds;
            writeln!(xml, "  <testcase classname=\"{class}\" name=\"{name}\" time=\"{time:.3}\">{element}</testcase>")
                .expect("writing to a string");
        }
        xml + "</testsuite>\n"
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no other control characters, not even escaped.
            '\t' | '\n' | '\r' => escaped.push(' '),
            letter if letter.is_control() => escaped.push('?'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obligation::{Counterexample, Floor, Unknown};
    use crate::solver::Stats;

    fn report() -> Report {
        let finished = |name: &str, outcome| Finished {
            name: name.into(),
            floor: Floor::Verifier,
            room: None,
            cases: 1,
            seconds: 0.5,
            solver: Stats::default(),
            outcome,
        };
        let values = [("x".to_owned(), 255)].into();
        let found = Counterexample { goal: "x < 1 & \"y\"".into(), bits: 64, values, ..Counterexample::default() };
        let results = vec![
            finished("tnum::add64", Outcome::Proven),
            finished("tnum::sub64", Outcome::Refuted(found)),
            finished("tnum::neg64", Unknown::Stopped.into()),
        ];
        Report { width: Width::Full, plant: None, seconds: 1.0, results }
    }

    #[test]
    fn text_names_the_counterexample() {
        let text = report().text();
        assert!(
            text.contains("refuted     0.50 s     1  tnum::sub64\n         x < 1 & \"y\" fails at x=0xff\n"),
            "{text}"
        );
        assert!(text.contains("3 obligations with 3 cases: 1 proven, 1 refuted, 1 unknown"), "{text}");
    }

    #[test]
    fn json_is_read_back() {
        let value: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(value["results"][0]["result"], "proven");
        assert_eq!(value["results"][1]["values"]["x"], 255);
        assert_eq!(value["results"][2]["reason"]["kind"], "stopped");
    }

    #[test]
    fn junit_is_escaped() {
        let xml = report().junit();
        assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\""));
        assert!(xml.contains("<failure message=\"x &lt; 1 &amp; &quot;y&quot; fails at x=0xff\"/>"), "{xml}");
    }
}

//! The laws of the semantics at 64 bits, by themselves, so that what they cost is seen.

use proofs::obligation::Outcome;
use proofs::runner::{Options, run};

#[test]
fn the_laws_of_the_semantics_hold() {
    let report = run(
        &Options {
            only: Some("*::meaning::*".into()),
            timeout: std::time::Duration::from_secs(10),
            ..Options::default()
        },
        |_| (),
    )
    .unwrap();
    let mut slowest: Vec<_> = report.results.iter().collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    println!("{}; the slowest:", report.summary());
    slowest.iter().take(8).for_each(|result| println!("{}", result.line(report.width)));
    let failed = report.results.iter().filter(|result| result.outcome != Outcome::Proven);
    let failed: String = failed.map(|result| result.line(report.width) + "\n").collect();
    assert!(report.is_success(), "{failed}");
    assert!(report.results.len() > 400);
}

//! Our verifier against a kernel. Skipped where there is none.

use std::path::Path;

use fuzz::against::Bench;
use fuzz::against::relation::Relation;
use fuzz::against::subject::{self, Make, Maker, Subject};
use linux::{Kernel, kernel};
use verifier::rules::Rules;
use verifier::{Verifier, plant};

fn oldest() -> Option<Kernel> {
    let folder = kernel::folder();
    let kernel = Kernel::all(&folder).into_iter().next().filter(|kernel| kernel.initramfs.is_file());
    if kernel.is_none() {
        eprintln!("skipped: no kernels in {}: `make linux` gets them", folder.display());
    }
    kernel
}

fn made(make: Make, count: u64) -> Vec<Subject> {
    let maker = Maker::new(make, 7);
    (0..count).map(|number| maker.subject(number)).collect()
}

#[test]
fn instructions_agree_and_a_planted_mistake_does_not() {
    let Some(kernel) = oldest() else { return };
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/insn");
    let files = corpus::suite::files(&corpus).expect("the corpus");
    let cases: Vec<Subject> = files.iter().flat_map(|file| subject::read(file).expect("cases")).collect();
    let mut bench = Bench::new(Verifier::default(), &kernel, 1).expect("memory");
    if let Err(error) = bench.compare(&made(Make::Rejected, 300), &mut |_| ()) {
        eprintln!("skipped: {error}");
        return;
    }
    let open = |bench: &Bench| {
        let groups = bench.tally.by_weight().into_iter();
        let open = groups.filter(|(cause, group)| cause.relation.is_disagreement() && group.explained.is_none());
        open.map(|(cause, group)| format!("{cause:?}: {:?}", group.examples[0].origin)).collect::<Vec<_>>()
    };
    assert_eq!(open(&bench), Vec::<String>::new());
    bench.compare(&cases, &mut |_| ()).expect("a guest");
    for relation in [Relation::BothAccept, Relation::BothReject] {
        assert!(bench.tally.count(relation) > 200, "{relation:?}: {}", bench.tally.count(relation));
    }
    drop(bench);
    let mut rules = Rules::default();
    (plant::by_name("packet_range_off_by_one").expect("a plant").apply)(&mut rules);
    let mut bench = Bench::new(Verifier::with_rules(rules), &kernel, 1).expect("memory");
    bench.compare(&made(Make::Rejected, 600), &mut |_| ()).expect("a guest");
    let found = open(&bench);
    assert!(
        found.iter().any(|group| group.contains("OnlyWeAccept") && group.contains("outside of the packet")),
        "{found:?}"
    );
}

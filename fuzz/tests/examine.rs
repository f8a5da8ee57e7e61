//! Examinations on real kernels: their interpreter and their JIT see what ours sees. Skipped where there are no kernels.

use corpus::case::Case;
use linux::{Kernel, Machine, Settings, job};
use semantics::insn::table::TABLE;
use semantics::interpreter;
use semantics::memory::{Memory, Object};
use semantics::world::World;

type Seen = (u32, Vec<Vec<(Vec<u8>, Vec<u8>)>>);

fn ours(world: &mut World, case: &Case) -> Vec<Seen> {
    let program = case.program().unwrap();
    world.load(&program).unwrap();
    case.runs
        .iter()
        .map(|run| {
            world.reset(&run.input).unwrap();
            let stop = interpreter::run(&program, world, 1 << 24, &mut ());
            let outcome = world.outcome(stop.result);
            let maps = (0..case.maps.len()).filter(|m| case.maps[*m].map_type.id() != 3).map(|map| {
                outcome
                    .objects()
                    .filter(|piece| piece.object == Object::MapValue(map as u32))
                    .map(|piece| (piece.key.to_vec(), piece.bytes.to_vec()))
                    .collect::<std::collections::BTreeSet<_>>()
                    .into_iter()
                    .collect()
            });
            (outcome.result.map_or(u32::MAX, |r0| r0 as u32), maps.collect())
        })
        .collect()
}

#[test]
fn forms() {
    let folder = linux::kernel::folder();
    let mut world = World::new(Memory::detached().unwrap());
    for kernel in Kernel::all(&folder) {
        let version = kernel.number();
        let mut machine = Machine::new(kernel.clone(), Settings::default());
        let since = |row: &semantics::insn::table::Row| {
            let v = row.op.since();
            (u32::from(v.0), u32::from(v.1))
        };
        let cases: Vec<Case> = TABLE
            .iter()
            .filter(|row| since(row) <= version)
            .filter_map(|row| fuzz::examine::forms::cases(row.opcode).unwrap().ok())
            .flatten()
            .collect();
        let mut cases = cases;
        for (_, helper) in semantics::helper::modelled() {
            cases.extend(fuzz::examine::helpers::cases(helper.fact().name).unwrap());
        }
        let wanted = job::Wanted { log_level: 1, ..job::Wanted::default() };
        let jobs: Vec<_> = cases
            .iter()
            .map(|case| {
                let mut job = job::of_case(case, &wanted).unwrap();
                for r in &mut job.runs {
                    r.read_back.retain(|m| job.maps[*m as usize].map_type != 3);
                }
                job
            })
            .collect();
        let start = std::time::Instant::now();
        let mut bad = 0;
        machine
            .ask(&jobs, &mut |at, answer| {
                let case = &cases[at];
                let answer = match answer {
                    Ok(a) => a,
                    Err(e) => {
                        println!("{} {}: {e}", kernel.version, case.name);
                        bad += 1;
                        return;
                    }
                };
                let ours = ours(&mut world, case);
                for trial in &answer.trials {
                    if trial.load.result.is_err() {
                        println!(
                            "{} {}: {:?} {}",
                            kernel.version,
                            case.name,
                            trial.load.result,
                            trial.load.log.lines().rev().take(4).collect::<Vec<_>>().join(" / ")
                        );
                        bad += 1;
                    }
                    for (run, (theirs, ours)) in trial.runs.iter().zip(&ours).enumerate() {
                        let theirs = match theirs {
                            Ok(ran) => (
                                ran.retval,
                                ran.maps
                                    .iter()
                                    .map(|m| {
                                        let mut m = m.clone().unwrap_or_default();
                                        m.sort();
                                        m
                                    })
                                    .collect::<Vec<_>>(),
                            ),
                            Err(e) => {
                                println!("{} {}: run {run} errno {e}", kernel.version, case.name);
                                bad += 1;
                                continue;
                            }
                        };
                        if theirs != *ours {
                            bad += 1;
                            let m = theirs.1.iter().zip(&ours.1).position(|(a, b)| a != b);
                            let detail = m.map(|m| {
                                let (a, b) = (&theirs.1[m], &ours.1[m]);
                                if a.len() != b.len() {
                                    return format!("map {m}: {} elements, ours {}", a.len(), b.len());
                                }
                                if a.len() != 1 {
                                    return format!("map {m}: {a:02x?} ours {b:02x?}");
                                }
                                let i = a[0].1.iter().zip(&b[0].1).position(|(x, y)| x != y).unwrap();
                                let i = i / 8 * 8;
                                format!("map {m} byte {i}: {:02x?} ours {:02x?}", &a[0].1[i..i + 8], &b[0].1[i..i + 8])
                            });
                            println!(
                                "{} {} {:?} run {run}: retval {:#x} ours {:#x} {detail:?}",
                                kernel.version, case.name, trial.engine, theirs.0, ours.0
                            );
                        }
                    }
                }
                if !answer.messages.is_empty() {
                    println!("{:?}", answer.messages);
                }
            })
            .unwrap();
        println!("{}: {} cases, {bad} bad, {:?}", kernel.version, cases.len(), start.elapsed());
    }
}

#[test]
fn maps() {
    let folder = linux::kernel::folder();
    for kernel in Kernel::all(&folder) {
        let mut machine = Machine::new(kernel.clone(), Settings::default());
        let mut all = fuzz::examine::maps::creations();
        all.extend(fuzz::examine::maps::sequences(1, 300));
        let jobs: Vec<_> = all.iter().map(|e| e.job()).collect();
        let start = std::time::Instant::now();
        let mut unsupported = 0;
        machine
            .ask(&jobs, &mut |at, answer| {
                let exam = &all[at];
                let answer = answer.unwrap();
                for difference in exam.differences(&answer.trials[0]).unwrap() {
                    if difference == fuzz::examine::maps::Difference::Unsupported {
                        unsupported += 1;
                        continue;
                    }
                    println!("{} {:?}: {difference}", kernel.version, exam.def);
                }
            })
            .unwrap();
        println!("{}: {} maps, {unsupported} unsupported, {:?}", kernel.version, all.len(), start.elapsed());
    }
}

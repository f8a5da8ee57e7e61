#[test]
fn scratch() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let plant = std::env::var("PLANT").ok();
    let narrow = std::env::var("NARROW").is_ok();
    let all: Vec<_> = crate::obligations();
    for o in all {
        if !o.name.contains(&only) { continue }
        let t = std::time::Instant::now();
        crate::solver::begin(&o.name, crate::solver::Settings{timeout: std::time::Duration::from_secs(std::env::var("T").map_or(20, |t| t.parse().unwrap())), ..Default::default()});
        let r = if narrow { o.check(plant.as_deref()) } else { o.prove(plant.as_deref()) };
        let s = crate::solver::end();
        println!("{:40} {:7.2}s {:?} {}", o.name, t.elapsed().as_secs_f64(), s, match r { crate::obligation::Outcome::Proven => "proven".into(), crate::obligation::Outcome::Refuted(c) => format!("REFUTED {c}"), crate::obligation::Outcome::Unknown{reason} => format!("UNKNOWN {reason}") });
    }
}

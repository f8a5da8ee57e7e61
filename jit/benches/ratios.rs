//! A table of ratios from one run: every contest in turns, and the size of code. `make bench-jit` prints it.

#![allow(missing_docs, reason = "a program")]

use jit::{Code, Rules, compile};
use semantics::insn::Insn;

mod contest;
use contest::programs::{self, verified};
use contest::template::Template;

fn main() {
    println!("{:34} {:28} {:>14} {:>8}", "contest", "runner", "time", "ratio");
    for make in contest::all() {
        let mut contest = make();
        let figures = contest::measure(&mut *contest);
        let (title, unit) = contest.title();
        let per = if unit.name.is_empty() { String::new() } else { format!("/{}", unit.name) };
        for (at, figure) in figures.iter().enumerate() {
            let title = if at == 0 { title } else { "" };
            let time = format!("{:.3} ns{per}", figure.nanoseconds);
            println!("{title:34} {:28} {time:>14} {:>8.2}", figure.runner, figure.ratio);
        }
    }
    sizes();
}

/// Bytes of code per instruction, without entry and exit.
#[allow(clippy::cast_precision_loss, reason = "of small numbers")]
fn sizes() {
    println!("\n{:34} {:>12} {:>22}", "bytes per instruction", "touchstone", "templates as ubpf's");
    let all: [(&str, Vec<Insn>); 9] = [
        ("mixed ALU loop", programs::mixed_alu()),
        ("dependent ALU loop", programs::alu_chain()),
        ("checksum of 1500 bytes", programs::checksum()),
        ("copy of 744 bytes by 8", programs::copy_words()),
        ("copy of 744 bytes by 1", programs::copy_bytes()),
        ("copy of 744 bytes unrolled", programs::copy_unrolled()),
        ("division loop", programs::divisions()),
        ("20 instructions", programs::twenty()),
        ("4096 instructions", programs::long(4096)),
    ];
    for (name, insns) in all {
        let theirs = Template::bytes(&insns).1.len();
        let mut code = Code::default();
        compile(&verified(name, insns), &Rules::standard(), &mut code).expect("every opcode");
        let count = code.slots() as f64;
        let ours = code.slot(code.slots()) - code.slot(0);
        println!("{name:34} {:>12.2} {:>22.2}", ours as f64 / count, theirs as f64 / count);
    }
}

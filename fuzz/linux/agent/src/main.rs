//! The first and only process of a guest: it does the jobs that the host puts into shared memory, on the guest's kernel.
//!
//! It ends only with the guest. What it cannot do is an answer, never a panic: as process 1 it would take the kernel along.

use std::process::ExitCode;

use wire::{Answer, Ask, Signal};

mod bpf;
mod btf;
mod channel;
mod info;
mod kmsg;
mod load;
mod mishap;
mod setup;
mod trial;

use channel::Channel;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("touchstone-agent is the first process of a guest and does nothing elsewhere");
        return ExitCode::from(2);
    }
    if let Err(error) = setup::mount_all() {
        println!("touchstone-agent: {error}");
    }
    if let Err(error) = setup::limit_memory() {
        println!("touchstone-agent: the memory of maps is not limited: {error}");
    }
    let mut channel = match Channel::open() {
        Ok(channel) => channel,
        Err(error) => {
            println!("touchstone-agent: {error}");
            setup::power_off();
        }
    };
    let error = match serve(&mut channel) {
        Ok(()) => "the host is gone".to_owned(),
        Err(error) => error.to_string(),
    };
    println!("touchstone-agent: {error}");
    let _ = channel.say(&Signal::Failed { reason: error });
    setup::power_off();
}

/// Answers until the host closes its side.
fn serve(channel: &mut Channel) -> std::io::Result<()> {
    let mut agent = trial::Agent::new()?;
    channel.say(&Signal::Hello { version: wire::VERSION, release: setup::release() })?;
    while let Some(signal) = channel.hear()? {
        let Signal::Ask { len } = signal else { continue };
        let Ask::Jobs(jobs) = channel.ask(len)?;
        for (job, number) in jobs.iter().zip(0..) {
            channel.say(&Signal::At { job: number })?;
            mishap::before(job.mishap);
            let mut answer: Answer = agent.answer(job);
            mishap::within(job.mishap, &mut answer);
            channel.answer(number, &answer, job.mishap)?;
            mishap::after(job.mishap);
        }
        channel.say(&Signal::Done)?;
    }
    Ok(())
}

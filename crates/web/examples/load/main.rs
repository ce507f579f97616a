//! The captioning service under load: `load PROGRAM FOLDER CLIENTS CAPTIONS`.
//!
//! Starts `PROGRAM serve` with its usual model, lets CLIENTS ask for CAPTIONS of FOLDER's pictures, then
//! captions the same pictures with `PROGRAM caption`, then asks a service with a small queue for ten
//! times what it takes. Prints answers by status, throughput, median and 99th percentile, the drift of
//! memory over the last half, the share of the offline throughput, and how long a lone request takes
//! after the flood. Exit code 1 if any of it is not as `docs/serve.md` promises.

mod clients;
mod service;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clients::Seen;
use service::{Service, offline_rate};

/// Pictures that are held in memory.
const PICTURES: usize = 1000;
/// Places of the small queue.
const QUEUE: usize = 32;
/// Of the offline throughput, the least that the service reaches.
const SHARE: f64 = 0.85;
/// The most by which memory may grow over the last half.
const DRIFT: f64 = 0.01;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [program, folder, clients, captions] = &words[..] else {
        return Err("load PROGRAM FOLDER CLIENTS CAPTIONS".into());
    };
    let program = Path::new(program);
    let (clients, captions): (usize, usize) = (clients.parse()?, captions.parse()?);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    files.truncate(PICTURES.min(captions));
    if files.len() < 2 {
        return Err(format!("{folder} has fewer than two files").into());
    }
    let pictures: Vec<Vec<u8>> = files.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    let mut checks = Checks::default();

    let service = Service::start(program, &[])?;
    clients::run(&service.url, &pictures, clients, clients);
    let seen = clients::run(&service.url, &pictures, clients, captions);
    println!(
        "{clients} clients, {captions} captions of {} pictures",
        files.len()
    );
    say(&seen);
    checks.add(
        "every answer is a caption",
        seen.statuses().keys().all(|&s| s == 200),
    );
    match (seen.memory.last(), seen.drift()) {
        (Some(bytes), Some(drift)) => {
            let (mb, percent) = (bytes / 1e6, 100.0 * drift);
            println!("memory {mb:.1} MB at the end, {percent:+.2} % over the last half");
            checks.add("memory drifts by less than 1 %", drift.abs() < DRIFT);
        }
        _ => checks.add("the service tells its memory", false),
    }
    checks.add("it ends with exit code 0", service.ends_well()?);

    let offline = offline_rate(program, &files)?;
    let share = seen.rate() / offline;
    println!(
        "offline: {offline:.1} captions/s; the service reaches {:.0} % of it",
        100.0 * share
    );
    checks.add("at least 85 % of the offline throughput", SHARE <= share);

    let service = Service::start(program, &["--queue", &QUEUE.to_string()])?;
    let flood = clients::run(&service.url, &pictures, 10 * QUEUE, 30 * QUEUE);
    let recovery = clients::recovery(&service.url, &pictures[0]);
    println!("{} clients, a queue of {QUEUE}", 10 * QUEUE);
    say(&flood);
    println!("a lone request afterwards: {:.0} ms", 1000.0 * recovery);
    let allowed = |&status: &u16| [200, 429, 503].contains(&status);
    checks.add(
        "a flood meets only 200, 429, 503",
        flood.statuses().keys().all(allowed),
    );
    checks.add("and was one", flood.statuses().contains_key(&429));
    checks.add("it recovers within a second", recovery < 1.0);
    checks.add("it ends with exit code 0 after it", service.ends_well()?);
    Ok(checks.end())
}

fn say(seen: &Seen) {
    for (status, count) in seen.statuses() {
        match status {
            0 => println!("{count:>8} without an answer"),
            _ => println!("{count:>8} answers of status {status}"),
        }
    }
    if let Some([median, most]) = seen.times_ms() {
        let rate = seen.rate();
        println!("{rate:.1} captions/s; median {median:.0} ms, 99 % below {most:.0} ms");
    }
}

/// What was promised and whether it held.
#[derive(Default)]
struct Checks(Vec<(&'static str, bool)>);

impl Checks {
    fn add(&mut self, promise: &'static str, holds: bool) {
        self.0.push((promise, holds));
    }

    fn end(self) -> ExitCode {
        for (promise, holds) in &self.0 {
            println!("{} {promise}", if *holds { "held:  " } else { "BROKEN:" });
        }
        ExitCode::from(u8::from(self.0.iter().any(|(_, holds)| !holds)))
    }
}

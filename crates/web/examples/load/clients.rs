//! Many clients at once against a running service: `load URL FOLDER CLIENTS CAPTIONS`.
//!
//! Each client sends one picture of FOLDER after another, on one connection, and starts the next when
//! it has the answer. Printed at the end: answers by status, throughput of good ones, their median and
//! 99th percentile, the memory of the service half-way and at the end, and how long a lone request
//! takes to be answered afterwards. Sends to loopback addresses only.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::Agent;

/// Of one request: status (0: none came) and seconds.
type Sample = (u16, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, folder, clients, captions] = &words[..] else {
        return Err("load URL FOLDER CLIENTS CAPTIONS".into());
    };
    let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    if !local.iter().any(|start| url.starts_with(start)) {
        return Err(format!("{url} is not on this machine").into());
    }
    let (clients, captions): (usize, usize) = (clients.parse()?, captions.parse()?);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let pictures: Vec<Vec<u8>> = files
        .iter()
        .take(2000)
        .map(std::fs::read)
        .collect::<Result<_, _>>()?;
    if pictures.is_empty() {
        return Err(format!("no files in {folder}").into());
    }
    let caption = format!("{url}/v1/caption");
    ask(&agent(), &caption, &pictures[0]);

    let (next, samples) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let half = Mutex::new(None);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let (agent, mut own) = (agent(), Vec::new());
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if captions <= n {
                        break;
                    }
                    if n == captions / 2 {
                        *half.lock().expect("no panic") = memory(&agent, url);
                    }
                    own.push(ask(&agent, &caption, &pictures[n % pictures.len()]));
                }
                samples.lock().expect("no panic").extend(own);
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let after = Instant::now();
    while ask(&agent(), &caption, &pictures[0]).0 != 200 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let recovery = after.elapsed().as_secs_f64();
    report(&samples.into_inner()?, seconds);
    println!("a lone request afterwards: {:.0} ms", 1000.0 * recovery);
    let (half, end) = (half.into_inner()?, memory(&agent(), url));
    if let (Some(half), Some(end)) = (half, end) {
        let drift = 100.0 * (end - half) / half;
        println!(
            "memory: {:.1} MB half-way, {:.1} MB at the end ({drift:+.2} %)",
            half / 1e6,
            end / 1e6
        );
    }
    Ok(())
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)));
    config.build().into()
}

/// One caption; every answer is read to its end, and a good one must have a caption.
fn ask(agent: &Agent, url: &str, picture: &[u8]) -> Sample {
    let start = Instant::now();
    let answer = agent
        .post(url)
        .content_type("application/octet-stream")
        .send(picture);
    let status = answer.map_or(0, |mut answer| {
        let status = answer.status().as_u16();
        match answer.body_mut().read_to_string() {
            Ok(text) if status != 200 || text.contains("\"captions\":[{") => status,
            _ => 0,
        }
    });
    (status, start.elapsed().as_secs_f64())
}

/// Bytes that the service holds, by its own account.
fn memory(agent: &Agent, url: &str) -> Option<f64> {
    let text = agent
        .get(format!("{url}/metrics"))
        .call()
        .ok()?
        .body_mut()
        .read_to_string()
        .ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("neuraltalk_resident_memory_bytes "))?;
    line.split(' ').nth(1)?.parse().ok()
}

fn report(samples: &[Sample], seconds: f64) {
    let mut statuses = BTreeMap::new();
    for (status, _) in samples {
        *statuses.entry(*status).or_insert(0usize) += 1;
    }
    for (status, count) in &statuses {
        let name = if *status == 0 {
            "none".into()
        } else {
            status.to_string()
        };
        println!("{count:>8} answers of status {name}");
    }
    let mut good: Vec<f64> = samples.iter().filter(|s| s.0 == 200).map(|s| s.1).collect();
    good.sort_by(f64::total_cmp);
    let Some(last) = good.len().checked_sub(1) else {
        return;
    };
    let at = |share: f64| 1000.0 * good[(share * last as f64).round() as usize];
    let rate = good.len() as f64 / seconds;
    println!(
        "{rate:.1} captions/s over {seconds:.1} s; median {:.0} ms, 99 % below {:.0} ms",
        at(0.5),
        at(0.99)
    );
}

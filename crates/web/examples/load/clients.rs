//! Many clients at once: each sends one picture after another on one connection, and the next when it
//! has the answer.
//!
//! Here: asking, and what came of it. Not here: the service under load (`service.rs`).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::Agent;

/// Of one request: status (0: no answer, or a good one without a caption) and seconds.
type Sample = (u16, f64);

/// What all clients saw.
pub struct Seen {
    samples: Vec<Sample>,
    seconds: f64,
    /// Bytes that the service held, a hundred times in the course of it, where it was asked.
    pub memory: Vec<f64>,
}

/// `captions` requests by so many clients.
pub fn run(url: &str, pictures: &[Vec<u8>], clients: usize, captions: usize) -> Seen {
    let caption = format!("{url}/v1/caption");
    let (next, samples) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let memory = Mutex::new(Vec::new());
    let every = (captions / 100).max(1);
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
                    if n % every == 0 {
                        let bytes = resident(&agent, url);
                        memory.lock().expect("no panic").extend(bytes);
                    }
                    own.push(ask(&agent, &caption, &pictures[n % pictures.len()]));
                }
                samples.lock().expect("no panic").extend(own);
            });
        }
    });
    Seen {
        seconds: start.elapsed().as_secs_f64(),
        samples: samples.into_inner().expect("no panic"),
        memory: memory.into_inner().expect("no panic"),
    }
}

/// Seconds until a lone request has a caption.
pub fn recovery(url: &str, picture: &[u8]) -> f64 {
    let start = Instant::now();
    let caption = format!("{url}/v1/caption");
    while ask(&agent(), &caption, picture).0 != 200 {
        std::thread::sleep(Duration::from_millis(10));
    }
    start.elapsed().as_secs_f64()
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
    let request = agent.post(url).content_type("application/octet-stream");
    let status = request.send(picture).map_or(0, |mut answer| {
        let status = answer.status().as_u16();
        match answer.body_mut().read_to_string() {
            Ok(text) if status != 200 || text.contains("\"captions\":[{") => status,
            _ => 0,
        }
    });
    (status, start.elapsed().as_secs_f64())
}

/// Bytes that the service holds, by its own account.
fn resident(agent: &Agent, url: &str) -> Option<f64> {
    let mut answer = agent.get(format!("{url}/metrics")).call().ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    let name = "neuraltalk_resident_memory_bytes ";
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.parse().ok()
}

impl Seen {
    /// How many answers had each status.
    pub fn statuses(&self) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        for (status, _) in &self.samples {
            *statuses.entry(*status).or_insert(0) += 1;
        }
        statuses
    }

    /// Captions a second.
    pub fn rate(&self) -> f64 {
        self.good().len() as f64 / self.seconds
    }

    /// Median and 99th percentile of the time that a caption took, in milliseconds.
    pub fn times_ms(&self) -> Option<[f64; 2]> {
        let mut good = self.good();
        good.sort_by(f64::total_cmp);
        let last = good.len().checked_sub(1)?;
        Some([0.5, 0.99].map(|share| 1000.0 * good[(share * last as f64).round() as usize]))
    }

    /// By how much the memory grew over the last half, as a share: means over a tenth of all samples.
    pub fn drift(&self) -> Option<f64> {
        let (_, half) = self.memory.split_at(self.memory.len() / 2);
        let part = (half.len() / 5).max(1);
        let mean = |bytes: &[f64]| bytes.iter().sum::<f64>() / bytes.len() as f64;
        let (first, last) = (half.get(..part)?, &half[half.len() - part..]);
        Some(mean(last) / mean(first) - 1.0)
    }

    fn good(&self) -> Vec<f64> {
        let good = self.samples.iter().filter(|sample| sample.0 == 200);
        good.map(|sample| sample.1).collect()
    }
}

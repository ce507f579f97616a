//! Counters and histograms that `/metrics` shows to Prometheus.

use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::queue::Outcome;

/// Seconds: from a small model's single caption to the time limit.
const SECONDS: [f64; 13] = [
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];

const PICTURES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

/// All that is measured.
pub(crate) struct Measures {
    registry: Mutex<Registry>,
    requests: Family<Request, Counter>,
    request_seconds: Family<Route, Histogram, fn() -> Histogram>,
    batch_pictures: Histogram,
    batch_seconds: Histogram,
    captioned: Counter,
    unreadable: Counter,
    queued: Gauge<i64, AtomicI64>,
    memory_bytes: Gauge<i64, AtomicI64>,
}

impl Default for Measures {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let measures = Self {
            registry: Mutex::new(Registry::with_prefix("neuraltalk")),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            batch_pictures: Histogram::new(PICTURES),
            batch_seconds: seconds(),
            captioned: Counter::default(),
            unreadable: Counter::default(),
            queued: Gauge::default(),
            memory_bytes: Gauge::default(),
        };
        let mut registry = measures.registry.lock().expect("nobody has it yet");
        registry.register(
            "requests",
            "Requests by route, method and status",
            measures.requests.clone(),
        );
        registry.register(
            "request_seconds",
            "From a request's head to its answer",
            measures.request_seconds.clone(),
        );
        registry.register(
            "batch_pictures",
            "Pictures captioned together",
            measures.batch_pictures.clone(),
        );
        registry.register(
            "batch_seconds",
            "Time of a batch in the model",
            measures.batch_seconds.clone(),
        );
        registry.register(
            "pictures_captioned",
            "Pictures that got captions",
            measures.captioned.clone(),
        );
        registry.register(
            "pictures_unreadable",
            "Pictures that did not decode",
            measures.unreadable.clone(),
        );
        registry.register(
            "queue_pictures",
            "Pictures that wait or are worked on",
            measures.queued.clone(),
        );
        registry.register(
            "resident_memory_bytes",
            "Memory of the process (Linux; else 0)",
            measures.memory_bytes.clone(),
        );
        drop(registry);
        measures
    }
}

impl Measures {
    /// A request was answered. `route` is the pattern, not the path: paths are endless.
    pub(crate) fn request(&self, route: &str, method: &'static str, status: u16, seconds: f64) {
        let route = route.to_owned();
        let request = Request {
            route: route.clone(),
            method,
            status,
        };
        self.requests.get_or_create(&request).inc();
        self.request_seconds
            .get_or_create(&Route { route })
            .observe(seconds);
    }

    pub(crate) fn batch(&self, pictures: usize, seconds: f64) {
        self.batch_pictures.observe(pictures as f64);
        self.batch_seconds.observe(seconds);
    }

    pub(crate) fn picture(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Captions(_) => self.captioned.inc(),
            Outcome::Picture(_) => self.unreadable.inc(),
            Outcome::Failed(_) => 0,
        };
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self, queued: usize) -> String {
        self.queued.set(queued as i64);
        self.memory_bytes.set(memory_bytes().unwrap_or(0));
        let registry = self.registry.lock().expect("rendering doesn't panic");
        let mut out = String::new();
        text::encode(&mut out, &registry).expect("a string takes everything");
        out
    }
}

/// `VmRSS` of this process.
fn memory_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

//! The captioning service: `neuraltalk serve`.
//!
//! Here: what it is made of and the order of its layers. Each route has its file: `caption.rs` (our own
//! form), `openai.rs` (OpenAI's), `about.rs` (health, metrics, models, description). Between them and
//! the model: `queue.rs`, which makes batches of whatever waits.
//!
//! A request passes, in this order: the guard (whose page is asking), the request's number and its line
//! in the log, the key, the route. Everything that a client can make large has a limit in [`Config`].

mod about;
mod ask;
mod body;
mod caption;
mod fetch;
mod key;
mod measure;
mod model;
mod observe;
mod openai;
mod picture;
mod queue;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::routing::{get, post};
use axum::{Router, middleware};
use data::picture::DecodeLimits;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{Guard, Stop, assets, guard, problem};
use fetch::Fetcher;
use key::Keys;
use measure::Measures;
use queue::Queue;

pub use model::Caption;

/// What the service allows.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the model is called in answers.
    pub model: String,
    /// One of these must come with every request of the API; none: nobody needs one.
    pub keys: Vec<String>,
    /// Whose pages may ask.
    pub guard: Guard,
    /// Pictures that wait or are worked on; more are answered 429.
    pub queue: usize,
    /// Pictures that are captioned together at most.
    pub batch: usize,
    /// Largest request body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are in memory at once.
    pub memory_bytes: usize,
    /// Most pictures of one request.
    pub pictures: usize,
    /// Limits of decoding.
    pub decode: DecodeLimits,
    /// For the whole of a request once its body is there.
    pub time: Duration,
    /// For a body to arrive, and between two pieces of it a third of that.
    pub body_time: Duration,
    /// Hosts that pictures may be fetched from.
    pub fetch: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: "neuraltalk".into(),
            keys: Vec::new(),
            guard: Guard::default(),
            queue: 256,
            batch: 32,
            body_bytes: 32 << 20,
            memory_bytes: 1 << 30,
            pictures: 32,
            // A photograph of 100 megapixels; four of them at once are in memory at most by its samples.
            decode: DecodeLimits {
                max_pixels: 100_000_000,
                max_bytes: 1 << 30,
                ..DecodeLimits::default()
            },
            time: Duration::from_secs(60),
            body_time: Duration::from_secs(30),
            fetch: Vec::new(),
        }
    }
}

/// What all routes share.
pub(crate) struct Service {
    config: Config,
    queue: Queue,
    measures: Arc<Measures>,
    fetcher: Fetcher,
    /// KiB of bodies that may still come into memory.
    room: Arc<Semaphore>,
    stop: Stop,
    started_s: u64,
}

/// The service over a model.
pub fn router(model: Arc<dyn Caption>, config: Config, stop: &Stop) -> Router {
    let measures = Arc::new(Measures::default());
    let keys = Arc::new(Keys::new(&config.keys));
    let guarding = config.guard.clone();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let service = Arc::new(Service {
        queue: Queue::start(model, &config, Arc::clone(&measures)),
        fetcher: Fetcher::new(&config.fetch, config.body_bytes),
        room: Arc::new(Semaphore::new(config.memory_bytes >> 10)),
        measures: Arc::clone(&measures),
        stop: stop.clone(),
        started_s: since.map_or(0, |since| since.as_secs()),
        config,
    });
    let locked = Router::new()
        .route("/v1/caption", post(caption::post))
        .route("/v1/chat/completions", post(openai::post))
        .route("/v1/models", get(about::models))
        .route("/v1/models/{model}", get(about::model))
        .route("/metrics", get(about::metrics))
        .route_layer(middleware::from_fn_with_state(keys, key::check));
    let open = Router::new()
        .route("/health", get(about::health))
        .route("/ready", get(about::ready))
        .route("/openapi.json", get(about::openapi))
        .route("/docs", get(about::docs))
        .merge(assets::router("caption.html"));
    let router = problem::elsewhere(locked.merge(open))
        .with_state(service)
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(middleware::from_fn_with_state(measures, observe::observe));
    guard::wrap(router, guarding)
}

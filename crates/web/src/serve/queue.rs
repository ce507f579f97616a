//! Pictures that wait for the model, and the thread that takes them in batches.
//!
//! Whatever waits when the model is free becomes the next batch (with the same options, first come
//! first): a lone request starts at once, and the busier the service, the larger its batches. No timer
//! holds a request back to wait for company. The number of places is fixed: a request for which there
//! are none is refused at once, before it costs anything.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::http::StatusCode;
use bytes::Bytes;
use data::picture::PictureError;
use generate::{Options, Sentence};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::measure::Measures;
use super::{Caption, Config};
use crate::Problem;

/// What becomes of one picture.
#[derive(Debug)]
pub(crate) enum Outcome {
    Captions(Vec<Sentence>),
    Picture(PictureError),
    /// The whole batch failed.
    Failed(Problem),
}

struct Job {
    picture: Bytes,
    options: Arc<Options>,
    /// Nobody needs the answer after this.
    deadline: Instant,
    reply: oneshot::Sender<Outcome>,
    /// Given back when the answer is there.
    _place: OwnedSemaphorePermit,
}

/// The way to the model.
pub(crate) struct Queue {
    jobs: UnboundedSender<Job>,
    places: Arc<Semaphore>,
    capacity: usize,
    /// Microseconds that a picture takes, averaged over the last batches.
    pace_us: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the model's thread; it ends with the queue.
    pub(crate) fn start(model: Arc<dyn Caption>, config: &Config, measures: Arc<Measures>) -> Self {
        let (jobs, waiting) = unbounded_channel();
        let pace_us = Arc::new(AtomicU64::new(0));
        let mut worker = Worker {
            model,
            waiting,
            ahead: VecDeque::new(),
            batch: config.batch.max(1),
            measures,
            pace_us: Arc::clone(&pace_us),
        };
        std::thread::Builder::new()
            .name("model".into())
            .spawn(move || while worker.turn() {})
            .expect("the system has threads left when a program starts");
        Self {
            jobs,
            places: Arc::new(Semaphore::new(config.queue)),
            capacity: config.queue,
            pace_us,
        }
    }

    /// Pictures that wait or are worked on.
    pub(crate) fn used(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    /// Puts all pictures of a request into the queue, or none.
    pub(crate) fn put(
        &self,
        pictures: Vec<Bytes>,
        options: Options,
        deadline: Instant,
    ) -> Result<Vec<oneshot::Receiver<Outcome>>, Problem> {
        let count = pictures.len();
        if self.capacity < count {
            let detail = format!(
                "{count} pictures, and the queue has {} places",
                self.capacity
            );
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
                .hint("send fewer pictures in a request"));
        }
        let places = u32::try_from(count)
            .ok()
            .and_then(|count| Arc::clone(&self.places).try_acquire_many_owned(count).ok());
        let Some(mut places) = places else {
            let detail = format!("all {} places of the queue are taken", self.capacity);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                .hint("try again after the seconds that Retry-After names")
                .retry_after(self.wait_s()));
        };
        let options = Arc::new(options);
        let send = |picture| {
            let (reply, answer) = oneshot::channel();
            let place = places.split(1).expect("a place for each picture");
            let job = Job {
                picture,
                options: Arc::clone(&options),
                deadline,
                reply,
                _place: place,
            };
            // A worker that is gone drops the reply, which the receiver notices.
            let _ = self.jobs.send(job);
            answer
        };
        Ok(pictures.into_iter().map(send).collect())
    }

    /// Seconds until what is in the queue will be done.
    fn wait_s(&self) -> u64 {
        let us = self.pace_us.load(Ordering::Relaxed) * self.capacity as u64;
        us.div_ceil(1_000_000).clamp(1, 60)
    }
}

struct Worker {
    model: Arc<dyn Caption>,
    waiting: UnboundedReceiver<Job>,
    /// Received, and left for a later batch because of their options.
    ahead: VecDeque<Job>,
    batch: usize,
    measures: Arc<Measures>,
    pace_us: Arc<AtomicU64>,
}

impl Worker {
    /// One batch. False once the queue is gone.
    fn turn(&mut self) -> bool {
        if self.ahead.is_empty() {
            match self.waiting.blocking_recv() {
                Some(job) => self.ahead.push_back(job),
                None => return false,
            }
        }
        while let Ok(job) = self.waiting.try_recv() {
            self.ahead.push_back(job);
        }
        let now = Instant::now();
        // Who hung up or ran out of time is not worked for.
        self.ahead
            .retain(|job| !job.reply.is_closed() && now < job.deadline);
        let Some(options) = self.ahead.front().map(|job| Arc::clone(&job.options)) else {
            return true;
        };
        let (mut batch, mut later) = (Vec::new(), VecDeque::new());
        for job in self.ahead.drain(..) {
            match batch.len() < self.batch && job.options == options {
                true => batch.push(job),
                false => later.push_back(job),
            }
        }
        self.ahead = later;
        self.caption(batch, &options);
        true
    }

    fn caption(&self, batch: Vec<Job>, options: &Options) {
        let start = Instant::now();
        let pictures: Vec<&[u8]> = batch.iter().map(|job| &job.picture[..]).collect();
        // A panic in the model costs this batch an error and the next nothing.
        let model = AssertUnwindSafe(&self.model);
        let answers = catch_unwind(|| model.caption(&pictures, options));
        let seconds = start.elapsed().as_secs_f64();
        self.measures.batch(batch.len(), seconds);
        let each = (seconds * 1e6 / batch.len() as f64) as u64;
        let before = self.pace_us.load(Ordering::Relaxed);
        let pace = if before == 0 {
            each
        } else {
            (3 * before + each) / 4
        };
        self.pace_us.store(pace, Ordering::Relaxed);
        let failed = |problem: Problem| batch.iter().map(move |_| Outcome::Failed(problem.clone()));
        let outcomes: Vec<Outcome> = match answers {
            Ok(Ok(answers)) => answers
                .into_iter()
                .map(|answer| match answer {
                    Ok(captions) => Outcome::Captions(captions),
                    Err(error) => Outcome::Picture(error),
                })
                .collect(),
            Ok(Err(error)) => {
                let mut problem = Problem::bad_request(error.to_string());
                problem.hint = error.hint();
                failed(problem).collect()
            }
            Err(_) => {
                tracing::error!("the model panicked");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                failed(Problem::new(status, "the model failed on this batch")).collect()
            }
        };
        for (job, outcome) in batch.into_iter().zip(outcomes) {
            self.measures.picture(&outcome);
            // The place first: who has the answer may ask again at once.
            let Job { reply, _place, .. } = job;
            drop(_place);
            let _ = reply.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests;

//! Who hears of an event: `events.jsonl`, the status file, TensorBoard, the sink.
//!
//! Not here: their formats (`history.rs`, `status.rs`, `tensorboard.rs`).

use crate::event::{Control, Event};
use crate::folder::RunFolder;
use crate::history::History;
use crate::job::Job;
use crate::progress::Progress;
use crate::status::{Report, Status};
use crate::tensorboard::TensorBoard;
use crate::{Sink, TrainError};

/// All readers of a run's events.
pub(crate) struct Recorder<'s> {
    history: History,
    status: Status,
    tensorboard: Option<TensorBoard>,
    sink: Sink<'s>,
    /// The sink asked to stop.
    pub(crate) stopping: bool,
}

impl<'s> Recorder<'s> {
    /// Goes on after `iteration` steps.
    pub(crate) fn open(
        folder: &RunFolder,
        job: &Job,
        iteration: u64,
        sink: Sink<'s>,
    ) -> Result<Self, TrainError> {
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let status = folder.status(&job.options, &host);
        let tensorboard = match job.options.tensorboard {
            true => Some(TensorBoard::create(
                &folder.tensorboard(),
                &host,
                iteration,
            )?),
            false => None,
        };
        Ok(Self {
            history: History::open(&folder.events(), iteration)?,
            status: Status::open(&status, job.options.params(), iteration)?,
            tensorboard,
            sink,
            stopping: false,
        })
    }

    /// Tells everybody. The line is in the file before anybody acts on the event.
    pub(crate) fn tell(&mut self, event: &Event) -> Result<(), TrainError> {
        self.history.append(event)?;
        if let Some(tensorboard) = &mut self.tensorboard {
            tensorboard.write(event)?;
        }
        if (self.sink)(event) == Control::Stop {
            self.stopping = true;
        }
        Ok(())
    }

    /// Reports to NeuralTalk's monitor, at most once a minute unless an evaluation was made.
    pub(crate) fn report(
        &mut self,
        job: &Job,
        progress: &Progress,
        (ppl2, seconds): (f64, f64),
        evaluated: bool,
    ) -> Result<(), TrainError> {
        let (plan, it) = (job.plan(), progress.iteration.saturating_sub(1));
        let report = Report {
            time: String::new(),
            iter: (it, plan.total_iterations),
            epoch: (plan.epoch(it), job.options.max_epochs),
            time_per_batch: seconds,
            smooth_train_ppl2: progress.smooth_ppl2.unwrap_or(ppl2),
            // "initially size of dictionary of confusion" (driver.py).
            val_ppl2: progress.val_ppl2.unwrap_or(job.vocabulary.len() as f64),
            train_ppl2: ppl2,
        };
        self.status.report(report, evaluated)
    }

    /// Returns once `events.jsonl` survives a power cut.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.history.sync()
    }
}

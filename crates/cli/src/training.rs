//! A training run as the user sees it: what is printed, and Ctrl-C.
//!
//! Here: the reader of `train`'s events for a terminal or a log file. Not here: the loop (`train`).
//!
//! One line an evaluation goes to standard output. Standard error has the progress bar if it is a
//! terminal, else a line every ten seconds.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use train::{Control, Event, Kind, Options, Outcome, Overrides, Reason};

use crate::exit::{Exit, Failure};

/// `--quiet`.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Quiet {
    /// Show no progress on standard error
    #[arg(short, long)]
    quiet: bool,
}

/// Trains a new run in `folder`.
pub(crate) fn run(
    options: &Options,
    folder: &Path,
    quiet: Quiet,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    watch(folder, quiet, out, |sink| {
        train::start(options, folder, sink)
    })
}

/// Goes on with the run in `folder`.
pub(crate) fn resume(
    folder: &Path,
    overrides: &Overrides,
    quiet: Quiet,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    watch(folder, quiet, out, |sink| {
        train::resume(folder, overrides, sink)
    })
}

fn watch(
    folder: &Path,
    quiet: Quiet,
    out: &mut dyn Write,
    work: impl FnOnce(train::Sink) -> Result<Outcome, train::TrainError>,
) -> anyhow::Result<Exit> {
    let stop = catch_interrupts()?;
    let mut display = Display::new(quiet, out);
    let outcome = work(&mut |event| display.hear(event, &stop));
    display.bar.finish_and_clear();
    if let Some(error) = display.failure {
        // The reader of our output is gone. `last` was saved all the same.
        return Err(error.into());
    }
    summary(folder, &outcome?, display.started.elapsed(), display.out)
}

/// A flag that Ctrl-C (or SIGTERM) raises; a second Ctrl-C ends the process at once.
fn catch_interrupts() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted.code().into());
        }
        eprintln!("\nstopping after this step; Ctrl-C again to stop without saving");
    })
    .map_err(|error| Failure::io(format!("cannot catch Ctrl-C: {error}")))?;
    Ok(stop)
}

/// Between two progress lines in a log file.
const LINE_EVERY: Duration = Duration::from_secs(10);

struct Display<'a> {
    out: &'a mut dyn Write,
    bar: ProgressBar,
    lines: bool,
    started: Instant,
    last_line: Instant,
    /// Sentences since `started`, for the speed.
    captions: u64,
    /// Step that this process began at, and when.
    first: (u64, Instant),
    total: u64,
    max_epochs: u64,
    best: Option<f64>,
    failure: Option<std::io::Error>,
}

impl<'a> Display<'a> {
    fn new(quiet: Quiet, out: &'a mut dyn Write) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            None,
            match terminal && !quiet.quiet {
                true => ProgressDrawTarget::stderr(),
                false => ProgressDrawTarget::hidden(),
            },
        );
        let now = Instant::now();
        Self {
            out,
            bar,
            lines: !terminal && !quiet.quiet,
            started: now,
            last_line: now,
            captions: 0,
            first: (0, now),
            total: 0,
            max_epochs: 0,
            best: None,
            failure: None,
        }
    }

    fn hear(&mut self, event: &Event, stop: &AtomicBool) -> Control {
        if let Err(error) = self.show(event) {
            self.failure.get_or_insert(error);
        }
        match self.failure.is_some() || stop.load(Ordering::SeqCst) {
            true => Control::Stop,
            false => Control::Continue,
        }
    }

    fn show(&mut self, event: &Event) -> std::io::Result<()> {
        match event {
            Event::Started { .. } => self.show_start(event),
            Event::Step { .. } => {
                self.show_step(event);
                Ok(())
            }
            Event::Evaluated { .. } => self.show_evaluation(event),
            Event::Warning { message, .. } => {
                self.bar.suspend(|| eprintln!("warning: {message}"));
                Ok(())
            }
            // Saves follow from the evaluations; the three ends are the outcome.
            Event::Saved { .. }
            | Event::Finished { .. }
            | Event::Interrupted { .. }
            | Event::Diverged { .. } => Ok(()),
        }
    }

    fn show_start(&mut self, event: &Event) -> std::io::Result<()> {
        let Event::Started {
            iteration,
            resumed,
            run,
            total_iterations,
            max_epochs,
            train_images,
            train_sentences,
            val_images,
            vocabulary,
            feature,
            parameters,
            threads,
            ..
        } = event
        else {
            return Ok(());
        };
        self.total = *total_iterations;
        self.max_epochs = *max_epochs;
        self.bar.set_length(*total_iterations);
        self.bar.set_position(*iteration);
        self.bar.set_style(bar_style());
        self.first = (*iteration, Instant::now());
        writeln!(self.out, "run     {}", run.display())?;
        writeln!(
            self.out,
            "data    {train_images} pictures with {train_sentences} sentences, {val_images} to validate; {vocabulary} words"
        )?;
        writeln!(
            self.out,
            "model   {parameters} numbers on features of {feature}; {threads} threads"
        )?;
        match resumed {
            true => writeln!(
                self.out,
                "resumed at step {iteration} of {total_iterations}"
            )?,
            false => writeln!(
                self.out,
                "steps   {total_iterations} in {max_epochs} epochs"
            )?,
        }
        self.out.flush()
    }

    fn show_step(&mut self, event: &Event) {
        let Event::Step {
            iteration,
            epoch,
            total_cost,
            smooth_ppl2,
            smooth_reward,
            captions,
            ..
        } = event
        else {
            return;
        };
        self.captions += captions;
        self.bar.set_position(*iteration);
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let rate = self.captions as f64 / seconds;
        let best = self
            .best
            .map_or_else(|| "-".to_owned(), |b| format!("{b:.2}"));
        let left = spelled(self.left(*iteration));
        // The cost of a self-critical step is about 0 whatever the model does.
        let (short, long) = match smooth_reward {
            None => (
                format!("loss {total_cost:.2}  ppl {smooth_ppl2:.2}"),
                format!("loss {total_cost:.3}  smooth ppl {smooth_ppl2:.2}"),
            ),
            Some(reward) => (
                format!("reward {reward:.3}"),
                format!("smooth reward {reward:.4}"),
            ),
        };
        if !self.bar.is_hidden() {
            self.bar
                .set_prefix(format!("epoch {epoch:.1}/{}", self.max_epochs));
            // Short enough for 80 columns; the end is cut off where it is not.
            self.bar.set_message(format!(
                "{left}  {short}  best {best}  {rate:.0} captions/s"
            ));
        }
        if self.lines && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!(
                "step {iteration}/{}  epoch {epoch:.2}/{}  {rate:.0} captions/s  {long}  best {best}  {left}",
                self.total, self.max_epochs,
            );
        }
    }

    /// How long the steps after `iteration` take if they take what those of this process took, evaluations included: over
    /// so many that one evaluation doesn't make hours of them.
    fn left(&self, iteration: u64) -> Duration {
        let (first, since) = self.first;
        let done = iteration.saturating_sub(first).max(1);
        let left = self.total.saturating_sub(iteration);
        since.elapsed().mul_f64(left as f64 / done as f64)
    }

    fn show_evaluation(&mut self, event: &Event) -> std::io::Result<()> {
        let Event::Evaluated {
            iteration,
            epoch,
            split,
            ppl2,
            best,
            improved,
            scores,
            samples,
            ..
        } = event
        else {
            return Ok(());
        };
        self.best = Some(*best);
        let mut line = format!("epoch {epoch:>6.2}  step {iteration:>6}  {split} ppl {ppl2:>9.4}");
        for (name, score) in scores {
            line += &format!("  {name} {score:.4}");
        }
        line += match improved {
            true => "  best",
            false => "      ",
        };
        if let Some(sample) = samples.first() {
            line += &format!("  {}: {}", sample.path, sample.caption);
        }
        let out = &mut *self.out;
        self.bar.suspend(|| {
            writeln!(out, "{}", line.trim_end())?;
            out.flush()
        })
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {bar:8.cyan/blue} {wide_msg}")
        .expect("a constant template")
}

fn spelled(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s left"),
        60..3600 => format!("{} min left", seconds.div_ceil(60)),
        _ => format!("{:.1} h left", seconds as f64 / 3600.0),
    }
}

fn summary(
    folder: &Path,
    outcome: &Outcome,
    duration: Duration,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let seconds = duration.as_secs_f64();
    let [best_file, last_file] =
        [Kind::Best, Kind::Last].map(|kind| train::run_checkpoint(folder, kind));
    match outcome {
        Outcome::Finished { reason, best } => {
            let why = match reason {
                Reason::MaxEpochs => "all epochs trained",
                Reason::EarlyStopping => "no improvement any more",
                Reason::MinPplOrAbort => "perplexity above --min-ppl-or-abort",
            };
            writeln!(out, "done    {why}, {seconds:.1} s")?;
            if let Some(best) = best {
                writeln!(out, "best    {best:.4} on the validation split")?;
            }
            match (best_file, last_file) {
                // Elsewhere the file alone doesn't tell what it was trained on.
                (Some(file), _) if file.parent() != Some(folder) => {
                    writeln!(out, "next    neuraltalk eval {}", folder.display())?;
                }
                (Some(file), _) => writeln!(out, "next    neuraltalk eval {}", file.display())?,
                (None, Some(file)) => {
                    writeln!(out, "next    neuraltalk inspect {}", file.display())?;
                }
                (None, None) => {}
            }
            Ok(Exit::Done)
        }
        Outcome::Interrupted { iteration } => {
            writeln!(out, "stopped at step {iteration}, saved")?;
            writeln!(out, "next    neuraltalk resume {}", folder.display())?;
            Ok(Exit::Interrupted)
        }
        Outcome::Diverged { message } => {
            out.flush()?;
            eprintln!("error: training diverged: {message}");
            match last_file.or(best_file) {
                Some(file) => eprintln!("hint: the last good checkpoint is `{}`", file.display()),
                None => eprintln!("hint: it came before the first checkpoint"),
            }
            Ok(Exit::Diverged)
        }
    }
}

//! The loop.
//!
//! Here: the order of things in one iteration. A state is saved only after the next batch's cost
//! was seen at its weights: so neither `last` nor `best` is ever a state that has diverged.
//!
//! ```text
//! cost and gradients of batch `it` -> diverged? -> save what is due -> update -> evaluate if due
//! ```
//!
//! Source: `driver.py` of NeuralTalk, which evaluates, smooths and aborts by the same rules. Not
//! here: the rules (`progress.rs`), the step (`step.rs`), files.

use std::time::Instant;

use data::{Batch, MissingFeature};
use nn::Dropout;

use crate::event::{Event, Kind, Outcome, Sampled};
use crate::folder::RunFolder;
use crate::job::Job;
use crate::options::Select;
use crate::progress::{ADVICE, Progress};
use crate::recorder::Recorder;
use crate::step::{self, Pass, Pictures, Trainer};
use crate::{TrainError, captions, clock, scores, snapshot, validation};

/// Keeps the masks' random numbers apart from those of the first weights.
const DROPOUT_SEED: u64 = 0x6472_6f70_6f75_7421;

/// A run in progress.
pub(crate) struct Run<'s> {
    pub(crate) job: Job,
    pub(crate) folder: RunFolder,
    pub(crate) recorder: Recorder<'s>,
    pub(crate) trainer: Trainer,
    pub(crate) progress: Progress,
    /// Checkpoints that wait for the next batch's cost.
    pub(crate) due: Vec<Kind>,
}

impl Run<'_> {
    /// Trains to the end, to a stop or to divergence.
    pub(crate) fn train(mut self, resumed: bool) -> Result<Outcome, TrainError> {
        self.announce(resumed)?;
        let saved_at = self.progress.iteration;
        if self.job.critic.is_some() && saved_at == 0 {
            // The checkpoint that it starts from is the first to beat. A run that is resumed here evaluates it again.
            self.progress = Progress::default();
            if let Some(message) = self.evaluate(0)? {
                return self.diverge(f64::NAN, message);
            }
        }
        loop {
            let it = self.progress.iteration;
            let ended = self.progress.ended(&self.job.options, self.job.plan());
            if let (Some(reason), true) = (ended, self.due.is_empty()) {
                let best = self.progress.best;
                self.recorder.tell(&Event::Finished {
                    iteration: it,
                    reason,
                    best,
                })?;
                return Ok(Outcome::Finished { reason, best });
            }
            let start = Instant::now();
            let (pass, sampled) = self.pass(it)?;
            if let Some(message) = self.progress.diverged(&self.job.options, &pass.cost) {
                return self.diverge(pass.cost.total(), message);
            }
            let every = self.job.options.save_every;
            let new = it > saved_at;
            let regular = every > 0 && it.is_multiple_of(every) && new;
            if (regular || self.recorder.stopping) && !self.due.contains(&Kind::Last) {
                self.due.push(Kind::Last);
            }
            let keep = self.job.options.keep_epochs;
            if new && let Some(epoch) = self.job.plan().kept_epoch(it, keep) {
                // Before `last`, which a resumed run goes on from.
                self.due.insert(0, Kind::Epoch(epoch));
            }
            self.save_due()?;
            if ended.is_some() {
                continue;
            }
            if self.recorder.stopping {
                self.recorder.tell(&Event::Interrupted { iteration: it })?;
                return Ok(Outcome::Interrupted { iteration: it });
            }

            let learning_rate = self.job.options.learning_rate_at(it, self.job.plan());
            let gradient_norm = self.trainer.update(&pass, learning_rate);
            if let (Some(vision), Some(gradient)) = (&mut self.job.vision, &pass.features) {
                let factor = learning_rate / self.job.options.learning_rate;
                let learning_rate = factor * self.job.options.encoder_learning_rate;
                vision.update(gradient, learning_rate, 1.0 / pass.sentences as f64);
            }
            let reward = sampled.as_ref().map(|s| s.reward);
            self.progress.step(pass.cost.ppl2, reward);
            let seconds = clock::seconds_since(start);
            self.recorder.tell(&Event::Step {
                iteration: self.progress.iteration,
                epoch: self.job.plan().epoch(it),
                loss_cost: pass.cost.loss,
                reg_cost: pass.cost.regularization,
                total_cost: pass.cost.total(),
                ppl2: pass.cost.ppl2,
                smooth_ppl2: self.progress.smooth_ppl2.unwrap_or(pass.cost.ppl2),
                smooth_reward: self.progress.smooth_reward,
                learning_rate,
                gradient_norm,
                captions: pass.sentences as u64,
                sampled,
                seconds,
            })?;
            let measured = (pass.cost.ppl2, seconds);
            drop(pass);
            let evaluate = self.job.plan().evaluates_after(it);
            if evaluate && let Some(message) = self.evaluate(it)? {
                return self.diverge(f64::NAN, message);
            }
            self.recorder
                .report(&self.job, &self.progress, measured, evaluate)?;
        }
    }

    fn announce(&mut self, resumed: bool) -> Result<(), TrainError> {
        let (job, plan, iteration) = (&self.job, self.job.plan(), self.progress.iteration);
        let parameters = self.trainer.decoder.parameters().iter();
        self.recorder.tell(&Event::Started {
            iteration,
            resumed,
            run: self.folder.root().to_owned(),
            total_iterations: plan.total_iterations,
            iterations_per_epoch: plan.iterations_per_epoch,
            max_epochs: job.options.max_epochs,
            train_images: job.train.images.len() as u64,
            train_sentences: job.train.sentences() as u64,
            val_images: job.val.images.len() as u64,
            vocabulary: job.vocabulary.len() as u64,
            feature: job.features.dimension() as u64,
            parameters: parameters.map(|p| p.value.len() as u64).sum::<u64>()
                + self.job.tuned_parameters(),
            threads: job.device.threads() as u64,
        })?;
        for message in std::mem::take(&mut self.job.notes) {
            self.recorder.tell(&Event::Warning { iteration, message })?;
        }
        Ok(())
    }

    /// Cost and gradients of step `it`; what was sampled for it if the objective is self-critical.
    fn pass(&mut self, it: u64) -> Result<(Pass, Option<Sampled>), TrainError> {
        let mut picks = self.job.sampler.batch_at(it);
        if self.job.critic.is_some() {
            picks.dedup_by_key(|pick| pick.0); // pictures; their sentences come from the model
        }
        let (batch, seen) = self.batch(it, &picks)?;
        let seen = seen.shaped(&batch, &self.trainer.decoder);
        let (trainer, dropout) = (&self.trainer, self.dropout(it));
        match &self.job.critic {
            None => Ok((trainer.pass_on(&batch, seen, None, &dropout), None)),
            Some(critic) => {
                let pictures: Vec<usize> = picks.iter().map(|pick| pick.0).collect();
                let (pass, samples) = critic.pass(trainer, batch, seen, &pictures, it, &dropout)?;
                Ok((pass, Some(samples.shown(&self.job, pictures[0]))))
            }
        }
    }

    /// The batch of step `it` and its pictures.
    fn batch(
        &mut self,
        it: u64,
        picks: &[(usize, usize)],
    ) -> Result<(Batch, Pictures), TrainError> {
        if self.job.vision.is_some() {
            let epoch = self.job.learning_epoch(it);
            // The batch after the last step is one too: its cost says whether the last weights are fit to be saved.
            let next = match it < self.job.plan().total_iterations {
                true => self.job.learning_epoch(it + 1),
                false => None,
            };
            let next = next.map(|epoch| (self.job.sampler.batch_at(it + 1), epoch));
            if let Some(vision) = &mut self.job.vision {
                return vision.batch(&self.job.train, picks, epoch, next);
            }
        }
        if let Some(table) = &self.job.table {
            let mut batch = Batch::of_sentences(&self.job.train, picks);
            let stored = &self.job.features;
            (batch.regions, batch.dimension) = (stored.regions(), stored.dimension());
            if self.job.critic.is_none() {
                step::round_pictures(&mut batch);
            }
            let pictures = Pictures {
                features: table.pick(&batch.pictures),
                learning: false,
            };
            return Ok((batch, pictures));
        }
        let batch = Batch::new(&self.job.train, &self.job.features, picks);
        let batch = batch.map_err(|e| self.no_vector(&e))?;
        let pictures = step::stored(&batch, &self.trainer.decoder);
        Ok((batch, pictures))
    }

    fn dropout(&self, it: u64) -> Dropout {
        Dropout::Random {
            seed: self.job.options.seed ^ DROPOUT_SEED,
            step: it,
            encoder: self.job.options.drop_prob_encoder,
            decoder: self.job.options.drop_prob_decoder,
        }
    }

    /// Evaluates after step `it`; a message if the weights turned out to be useless.
    fn evaluate(&mut self, it: u64) -> Result<Option<String>, TrainError> {
        let start = Instant::now();
        if let Some(vision) = &mut self.job.vision
            && let Some(features) = vision.validation(&self.job.val)?
        {
            self.job.features = features;
        }
        let (job, decoder) = (&self.job, &self.trainer.decoder);
        let options = &job.options;
        let found = validation::perplexity(
            decoder,
            &job.val,
            &job.features,
            options.eval_batch_size,
            None,
        )
        .map_err(|e| self.no_vector(&e))?;
        if !found.ppl2.is_finite() {
            let message = format!("the validation perplexity is {}; {ADVICE}", found.ppl2);
            return Ok(Some(message));
        }
        let scored = options.select != Select::Ppl;
        let (count, beam_size) = match scored {
            true => (usize::MAX, options.eval_beam_size),
            false => (options.eval_samples, 1),
        };
        let written = captions::write(job, decoder, count, beam_size)?;
        let scores = match scored {
            true => scores::score(job, &written),
            false => Default::default(),
        };
        let selected = match options.select {
            Select::Ppl => found.ppl2,
            Select::Bleu4 => scores["bleu4"],
            Select::Cider => scores["cider"],
        };
        let samples = captions::samples(job, &written);
        let improved = self.progress.evaluated(options, found.ppl2, selected);
        self.due = match improved {
            true => vec![Kind::Best, Kind::Last],
            false => vec![Kind::Last],
        };
        self.recorder.tell(&Event::Evaluated {
            iteration: self.progress.iteration,
            epoch: self.job.plan().epoch(it),
            split: data::Split::Val.name().into(),
            ppl2: found.ppl2,
            best: self.progress.best.unwrap_or(selected),
            improved,
            scores,
            samples,
            seconds: clock::seconds_since(start),
        })?;
        Ok(None)
    }

    /// Saves what is due; `best` before `last`, so that a `last` that counts it implies it.
    fn save_due(&mut self) -> Result<(), TrainError> {
        for kind in std::mem::take(&mut self.due) {
            let start = Instant::now();
            self.recorder.sync()?;
            let path = self.folder.checkpoint(&self.job.options, kind);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
            }
            let state = snapshot::take(&self.job, &self.trainer, &self.progress, kind);
            checkpoint::save(&state, &path)?;
            self.recorder.tell(&Event::Saved {
                iteration: self.progress.iteration,
                kind,
                path,
                seconds: clock::seconds_since(start),
            })?;
        }
        Ok(())
    }

    fn diverge(mut self, cost: f64, message: String) -> Result<Outcome, TrainError> {
        let finite = |x: f64| x.is_finite().then_some(x);
        self.recorder.tell(&Event::Diverged {
            iteration: self.progress.iteration,
            cost: finite(cost),
            first_cost: self.progress.first_cost,
            message: message.clone(),
        })?;
        Ok(Outcome::Diverged { message })
    }

    fn no_vector(&self, missing: &MissingFeature) -> TrainError {
        TrainError::Features {
            features: missing.features.clone(),
            what: format!("dataset `{}`", self.job.dataset),
            expected: format!("one for picture {}", missing.imgid),
            found: format!("{} columns", missing.count),
        }
    }
}

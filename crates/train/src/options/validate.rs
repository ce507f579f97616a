//! Which values of options make sense.
//!
//! Every message names the option, the value and what is accepted. Not here: whether the files
//! exist (`job.rs`).

use crate::TrainError;
use crate::options::{BatchBy, Generator, Objective, Options, Select};

impl Options {
    /// Refuses values that can't be trained with.
    ///
    /// # Errors
    /// The first such option.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.validate_sizes()?;
        self.validate_rates()?;
        self.validate_evaluation()?;
        self.validate_objective()?;
        self.validate_pictures()?;
        if self.precision.parse::<tensor::Precision>().is_err() {
            return refuse("precision", &self.precision, "`f32`, `tf32` or `bf16`");
        }
        match self.device.as_str() {
            "auto" | "cpu" | "cuda" => Ok(()),
            other => refuse("device", other, "`auto`, `cpu` or `cuda`"),
        }
    }

    fn validate_sizes(&self) -> Result<(), TrainError> {
        for (name, size) in [
            ("image-encoding-size", self.image_encoding_size),
            ("word-encoding-size", self.word_encoding_size),
            ("hidden-size", self.hidden_size),
            ("attention-size", self.attention_size),
            ("batch-size", self.batch_size),
            ("eval-batch-size", self.eval_batch_size),
            ("pictures-per-batch", self.pictures_per_batch),
            ("eval-beam-size", self.eval_beam_size),
        ] {
            // 2^24 is beyond any machine here; it keeps products of sizes from overflowing.
            if size == 0 || size > 1 << 24 {
                return refuse(name, size, "a number from 1 to 16777216");
            }
        }
        for (name, switch) in [
            ("tanhc-version", self.tanhc_version),
            ("rnn-relu-encoders", self.rnn_relu_encoders),
            ("rnn-feed-once", self.rnn_feed_once),
        ] {
            if switch > 1 {
                return refuse(name, switch, "0 or 1");
            }
        }
        let (image, word) = (self.image_encoding_size, self.word_encoding_size);
        match self.generator {
            Generator::Lstm if image != word => {
                let wanted = format!("the same as word-encoding-size ({word}) for the lstm");
                refuse("image-encoding-size", image, &wanted)
            }
            Generator::Rnn if image != self.hidden_size => {
                let wanted = format!("the same as hidden-size ({}) for the rnn", self.hidden_size);
                refuse("image-encoding-size", image, &wanted)
            }
            _ => Ok(()),
        }
    }

    fn validate_rates(&self) -> Result<(), TrainError> {
        for (name, value) in [
            ("label-smoothing", self.label_smoothing),
            ("drop-prob-encoder", self.drop_prob_encoder),
            ("drop-prob-decoder", self.drop_prob_decoder),
            ("momentum", self.momentum),
            ("decay-rate", self.decay_rate),
            ("beta1", self.beta1),
            ("beta2", self.beta2),
        ] {
            if !(0.0..1.0).contains(&value) {
                return refuse(name, value, "at least 0 and less than 1");
            }
        }
        for (name, value) in [
            ("regc", self.regc),
            ("smooth-eps", self.smooth_eps),
            ("encoder-weight-decay", self.encoder_weight_decay),
            ("weight-decay", self.weight_decay),
            ("learning-rate-floor", self.learning_rate_floor),
            ("learning-rate-epochs", self.learning_rate_epochs),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return refuse(name, value, "a number that is not negative");
            }
        }
        for (name, value) in [
            ("learning-rate", self.learning_rate),
            ("learning-rate-step-epochs", self.learning_rate_step_epochs),
            ("encoder-learning-rate", self.encoder_learning_rate),
            ("learning-rate-factor", self.learning_rate_factor),
            ("eval-period", self.eval_period),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return refuse(name, value, "a number above 0");
            }
        }
        if self.encoder_grad_clip_norm.is_nan() {
            return refuse(
                "encoder-grad-clip-norm",
                "NaN",
                "a number; 0 for no clipping",
            );
        }
        if self.grad_clip.is_nan() || self.grad_clip_norm.is_nan() {
            return refuse("grad-clip", "NaN", "a number; 0 for no clipping");
        }
        if self.max_epochs == 0 || self.max_epochs > 1 << 32 {
            return refuse(
                "max-epochs",
                self.max_epochs,
                "a number from 1 to 4294967296",
            );
        }
        if i64::try_from(self.seed).is_err() {
            return refuse("seed", self.seed, "a number below 2^63");
        }
        Ok(())
    }

    fn validate_objective(&self) -> Result<(), TrainError> {
        if !(2..=1 << 12).contains(&self.samples) {
            return refuse("samples", self.samples, "a number from 2 to 4096");
        }
        if !(self.bleu_reward_weight >= 0.0 && self.bleu_reward_weight.is_finite()) {
            return refuse(
                "bleu-reward-weight",
                self.bleu_reward_weight,
                "a number from 0 on",
            );
        }
        if !(self.initial_temperature > 0.0 && self.initial_temperature.is_finite()) {
            return refuse(
                "initial-temperature",
                self.initial_temperature,
                "a number above 0",
            );
        }
        if self.objective == Objective::CrossEntropy {
            return Ok(());
        }
        if self.init_model_from.is_none() {
            return refuse(
                "objective",
                "self-critical",
                "`cross-entropy`, or init-model-from with a checkpoint that it trained: samples of random weights earn nothing",
            );
        }
        if self.label_smoothing > 0.0 {
            return refuse(
                "label-smoothing",
                self.label_smoothing,
                "0 with objective = \"self-critical\"",
            );
        }
        if self.sampling == super::Sampling::Neuraltalk {
            return refuse(
                "sampling",
                "neuraltalk",
                "`epochs` with objective = \"self-critical\"",
            );
        }
        Ok(())
    }

    fn validate_pictures(&self) -> Result<(), TrainError> {
        if self.encoder.is_some() && self.features.is_some() {
            return refuse("features", "a file", "none where `encoder` reads pictures");
        }
        for (name, value) in [
            ("finetune-after", self.finetune_after),
            ("finetune-from-block", self.finetune_from_block),
        ] {
            if !(-1..=1 << 32).contains(&value) {
                return refuse(name, value, "-1 or a number up to 4294967296");
            }
        }
        for (name, value) in [
            ("augment-contrast", self.augment_contrast),
            ("augment-brightness", self.augment_brightness),
        ] {
            if !(0.0..1.0).contains(&value) {
                return refuse(name, value, "at least 0 and less than 1");
            }
        }
        if !(0.01..=1.0).contains(&self.augment_area) {
            return refuse("augment-area", self.augment_area, "0.01 to 1");
        }
        if !(1.0..=4.0).contains(&self.augment_aspect) {
            return refuse("augment-aspect", self.augment_aspect, "1 to 4");
        }
        Ok(())
    }

    fn validate_evaluation(&self) -> Result<(), TrainError> {
        if self.eval_max_images == 0 || self.eval_max_images < -1 {
            return refuse(
                "eval-max-images",
                self.eval_max_images,
                "a number above 0, or -1 for all",
            );
        }
        if self.batch_by == BatchBy::Pictures && self.sampling == super::Sampling::Neuraltalk {
            return refuse(
                "sampling",
                "neuraltalk",
                "`epochs` with batch-by = \"pictures\": NeuralTalk draws single sentences",
            );
        }
        if self.select != Select::Ppl && self.write_checkpoint_ppl_threshold > 0.0 {
            return refuse(
                "write-checkpoint-ppl-threshold",
                self.write_checkpoint_ppl_threshold,
                "-1 unless select is `ppl`",
            );
        }
        if self.fappend.contains(['/', '\\', '\0']) {
            return refuse("fappend", &self.fappend, "part of a folder's name");
        }
        if self.dataset.is_empty() {
            return refuse("dataset", "", "a folder, a file or a name under data/");
        }
        Ok(())
    }
}

fn refuse(
    option: &'static str,
    value: impl std::fmt::Display,
    accepted: &str,
) -> Result<(), TrainError> {
    Err(TrainError::Option {
        option,
        value: value.to_string(),
        accepted: accepted.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Options::default().validate().expect("valid");
    }

    fn critical(options: &mut Options) {
        options.objective = Objective::SelfCritical;
        options.init_model_from = Some("best.safetensors".into());
        options.validate().expect("valid");
    }

    #[test]
    fn each_bad_value_is_refused_by_name() {
        type Change = fn(&mut Options);
        let cases: [(&str, Change); 25] = [
            ("image-encoding-size", |o| o.image_encoding_size = 0),
            ("word-encoding-size", |o| o.word_encoding_size = 1 << 25),
            ("image-encoding-size", |o| o.image_encoding_size = 255),
            ("image-encoding-size", |o| {
                o.generator = Generator::Rnn;
                o.hidden_size = 12;
            }),
            ("batch-size", |o| o.batch_size = 0),
            ("tanhc-version", |o| o.tanhc_version = 2),
            ("drop-prob-encoder", |o| o.drop_prob_encoder = 1.0),
            ("drop-prob-decoder", |o| o.drop_prob_decoder = -0.1),
            ("decay-rate", |o| o.decay_rate = f64::NAN),
            ("regc", |o| o.regc = -1.0),
            ("learning-rate", |o| o.learning_rate = 0.0),
            ("eval-period", |o| o.eval_period = f64::INFINITY),
            ("max-epochs", |o| o.max_epochs = 0),
            ("seed", |o| o.seed = u64::MAX),
            ("eval-max-images", |o| o.eval_max_images = 0),
            ("sampling", |o| {
                o.batch_by = BatchBy::Pictures;
                o.sampling = super::super::Sampling::Neuraltalk;
            }),
            ("fappend", |o| o.fappend = "../x".into()),
            ("device", |o| o.device = "gpu".into()),
            ("precision", |o| o.precision = "f16".into()),
            ("samples", |o| o.samples = 1),
            ("bleu-reward-weight", |o| o.bleu_reward_weight = -1.0),
            ("initial-temperature", |o| o.initial_temperature = 0.0),
            ("objective", |o| o.objective = Objective::SelfCritical),
            ("label-smoothing", |o| {
                critical(o);
                o.label_smoothing = 0.1;
            }),
            ("sampling", |o| {
                critical(o);
                o.sampling = super::super::Sampling::Neuraltalk;
            }),
        ];
        for (name, change) in cases {
            let mut options = Options::default();
            change(&mut options);
            let error = options.validate().expect_err(name);
            assert!(
                error.to_string().starts_with(&format!("option `{name}`")),
                "{error}"
            );
            assert_eq!(error.exit_code(), 2);
        }
    }
}

//! Options in NeuralTalk's spelling, as its checkpoints and status files have them.
//!
//! Source: the `argparse` names of `driver.py`. What NeuralTalk doesn't know is added under our
//! names in its spelling, so that nothing about a run is lost.

use serde_json::{Map, Value, json};

use crate::options::Options;

impl Options {
    /// `params` of a checkpoint or status file: underscores for dashes, `tanhC_version`, and
    /// `init_model_from` an empty string where there is none.
    pub fn params(&self) -> Map<String, Value> {
        let Ok(Value::Object(all)) = serde_json::to_value(self) else {
            unreachable!("options are a struct of numbers and strings");
        };
        let mut params = Map::new();
        for (name, value) in all {
            let key = match name.as_str() {
                "tanhc-version" => "tanhC_version".into(),
                _ => name.replace('-', "_"),
            };
            let value = match key.as_str() {
                _ if !value.is_null() => value,
                "init_model_from" => json!(""),
                "checkpoint_output_directory" => json!("cv/"),
                "worker_status_output_directory" => json!("status/"),
                _ => continue,
            };
            params.insert(key, value);
        }
        params.insert("do_grad_check".into(), json!(0));
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_driver_py_is_there_with_its_default() {
        let params = Options::default().params();
        for (name, value) in [
            ("dataset", json!("flickr8k")),
            ("generator", json!("lstm")),
            ("image_encoding_size", json!(256)),
            ("word_encoding_size", json!(256)),
            ("hidden_size", json!(256)),
            ("tanhC_version", json!(0)),
            ("rnn_relu_encoders", json!(0)),
            ("rnn_feed_once", json!(0)),
            ("regc", json!(1e-8)),
            ("max_epochs", json!(50)),
            ("solver", json!("rmsprop")),
            ("momentum", json!(0.0)),
            ("decay_rate", json!(0.999)),
            ("smooth_eps", json!(1e-8)),
            ("learning_rate", json!(1e-3)),
            ("batch_size", json!(100)),
            ("grad_clip", json!(5.0)),
            ("drop_prob_encoder", json!(0.5)),
            ("drop_prob_decoder", json!(0.5)),
            ("word_count_threshold", json!(5)),
            ("eval_period", json!(1.0)),
            ("eval_batch_size", json!(100)),
            ("eval_max_images", json!(-1)),
            ("min_ppl_or_abort", json!(-1.0)),
            ("write_checkpoint_ppl_threshold", json!(-1.0)),
            ("init_model_from", json!("")),
            ("fappend", json!("baseline")),
            ("checkpoint_output_directory", json!("cv/")),
            ("worker_status_output_directory", json!("status/")),
            ("do_grad_check", json!(0)),
        ] {
            assert_eq!(params.get(name), Some(&value), "{name}");
        }
    }
}

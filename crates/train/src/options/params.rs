//! Options in NeuralTalk's spelling, as its checkpoints and status files have them.
//!
//! Source: the `argparse` names of `driver.py`. What NeuralTalk doesn't know is added under our
//! names in its spelling, so that nothing about a run is lost.

use serde_json::{Map, Value, json};

use crate::options::Options;

/// Options that are files or folders.
const PLACES: [&str; 5] = [
    "init_model_from",
    "encoder",
    "pictures",
    "checkpoint_output_directory",
    "worker_status_output_directory",
];

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

    /// Leaves of a checkpoint's `params` what others want to know: what differs from the defaults, without the files and
    /// folders of the machine that trained.
    pub fn share_params(params: &mut Map<String, Value>) {
        let defaults = Self::default().params();
        params.retain(|name, value| {
            !PLACES.contains(&name.as_str()) && defaults.get(name) != Some(value)
        });
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

    #[test]
    fn what_is_shared_names_no_folder_and_no_default() {
        let path = Some(std::path::PathBuf::from("/home/someone/secret"));
        let options = Options {
            hidden_size: 512,
            init_model_from: path.clone(),
            encoder: path.clone(),
            pictures: path.clone(),
            features: path.clone(),
            checkpoint_output_directory: path.clone(),
            worker_status_output_directory: path,
            ..Options::default()
        };
        let mut params = options.params();
        // As a snapshot does: the name of the features instead of their file.
        params.insert("features".into(), json!("vgg"));
        Options::share_params(&mut params);
        let shared: Map<_, _> = [("features", json!("vgg")), ("hidden_size", json!(512))]
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect();
        assert_eq!(params, shared);
    }
}

//! Captions of NeuralTalk's own models, read from its own checkpoints, against what it wrote.
//!
//! The originals are not part of the repository: `NEURALTALK_SHARED` says where they are, by
//! default `shared` beside the project's folder.

use std::fs;
use std::path::{Path, PathBuf};

use generate::{BeamOptions, Caption, END, Limits, beam, greedy};
use models::Decoder;
use serde_json::Value;
use tensor::{Device, Tensor};

const MODELS: [&str; 4] = [
    "lstm_tanhC1",
    "rnn_relu0_once0",
    "rnn_relu0_once1",
    "rnn_relu1_once1",
];

/// The folder of the originals, or None with a line that says so.
fn shared() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("NEURALTALK_SHARED").map_or_else(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no folder `{}`", folder.display());
    None
}

/// A model with the words it knows and the features of the dataset it was trained on.
struct Original {
    decoder: Decoder,
    vocabulary: data::Vocabulary,
    features: data::Features,
}

impl Original {
    fn load(shared: &Path, model: &str) -> Self {
        let oracle = shared.join("oracle");
        let file = oracle.join(format!("nt1/checkpoints/{model}.p2"));
        let checkpoint = checkpoint::load_any(&file).expect("a checkpoint");
        let device = Device::cpu(2);
        let stored = |name: &str| {
            let array = checkpoint.weight(name)?;
            Some(Tensor::stored(&device, &array.shape, array.data.clone()))
        };
        let decoder = Decoder::from_parameters(checkpoint.decoder.clone(), &device, stored);
        Self {
            decoder: decoder.expect("all parameters"),
            vocabulary: data::Vocabulary::from_words(checkpoint.words.clone()).expect("words"),
            features: data::Features::open(oracle.join("data/flickr8k/vgg_feats.mat"))
                .expect("features"),
        }
    }

    /// All pictures in one batch; beam size 1 is greedy search, as in the original.
    fn captions(&self, imgids: &[u32], beam_size: usize, n_best: usize) -> Vec<Vec<Caption>> {
        let rows = imgids
            .iter()
            .flat_map(|&id| self.features.row(id).expect("features"));
        let rows: Vec<f32> = rows.copied().collect();
        let shape = [imgids.len(), self.features.dimension()];
        let state = self
            .decoder
            .start(&Tensor::new(self.decoder.device(), &shape, rows));
        let captions = match beam_size {
            1 => greedy(&self.decoder, &state, imgids.len(), &Limits::default()),
            _ => {
                let options = BeamOptions {
                    n_best,
                    ..BeamOptions::new(beam_size)
                };
                beam(&self.decoder, &state, imgids.len(), &options)
            }
        };
        captions.expect("captions")
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("a golden file")).expect("JSON")
}

/// The relative tolerance that f32 weights are held to.
fn assert_close(got: f64, want: f64, what: &str) {
    assert!(
        (got - want).abs() <= 1e-5 * want.abs(),
        "{what}: {got}, NeuralTalk has {want}"
    );
}

#[test]
fn every_beam_is_neuraltalks() {
    let Some(shared) = shared() else { return };
    let goldens = json(&shared.join("oracle/nt1/eval/beams_full.json"));
    for model in MODELS {
        let original = Original::load(&shared, model);
        let pictures = goldens[model].as_object().expect("pictures");
        let imgids: Vec<u32> = pictures
            .keys()
            .map(|id| id.parse().expect("an imgid"))
            .collect();
        for beam_size in [1, 2, 3, 5, 10, 20] {
            let got = original.captions(&imgids, beam_size, beam_size);
            for (captions, (imgid, of_picture)) in got.iter().zip(pictures) {
                let what = format!("{model}, picture {imgid}, beam {beam_size}");
                let want = of_picture[beam_size.to_string()].as_array().expect("beams");
                assert_eq!(captions.len(), want.len(), "{what}");
                for (caption, want) in captions.iter().zip(want) {
                    let mut words = caption.tokens.clone();
                    words.extend(caption.finished.then_some(END));
                    assert_eq!(
                        serde_json::to_value(words).expect("words"),
                        want[1],
                        "{what}"
                    );
                    assert_close(caption.log_prob, want[0].as_f64().expect("a number"), &what);
                }
            }
        }
    }
}

#[test]
fn captions_of_the_test_pictures_are_neuraltalks() {
    let Some(shared) = shared() else { return };
    for model in MODELS {
        let original = Original::load(&shared, model);
        for beam_size in [1, 5, 20] {
            let file = format!("oracle/nt1/eval/{model}_beam{beam_size}.result_struct.json");
            let golden = json(&shared.join(file));
            let pictures = golden["imgblobs"].as_array().expect("pictures");
            let imgid = |picture: &Value| picture["imgid"].as_u64().expect("an imgid") as u32;
            let imgids: Vec<u32> = pictures.iter().map(imgid).collect();
            let got = original.captions(&imgids, beam_size, 1);
            for (captions, picture) in got.iter().zip(pictures) {
                let what = format!("{model}, picture {}, beam {beam_size}", picture["imgid"]);
                let want = &picture["candidate"];
                let text = original.vocabulary.decode(&captions[0].tokens);
                assert_eq!(text, want["text"], "{what}");
                assert_close(
                    captions[0].log_prob,
                    want["logprob"].as_f64().expect("a number"),
                    &what,
                );
            }
        }
    }
}

//! Costs and gradients of every model variant against those of the original program
//! (Python 2.7, f64), with and without its dropout, with its own draws.
//!
//! Skipped where the golden files are not at hand (variable `NEURALTALK_SHARED`).

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use checkpoint::legacy::read_neuraltalk;
use data::{Dataset, Features, Packed, Vocabulary};
use models::{Decoder, DecoderConfig, Objective, Sentences};
use nn::Dropout;
use serde_json::Value;
use tensor::ops::Mask;
use tensor::{Device, Element, Tensor};

const VARIANTS: [&str; 4] = [
    "lstm_tanhC1",
    "rnn_relu0_once0",
    "rnn_relu0_once1",
    "rnn_relu1_once1",
];

fn shared() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("NEURALTALK_SHARED").map_or_else(default, PathBuf::from);
    let found = root.join("oracle/nt1/grads/summary.json").is_file();
    if !found {
        println!("skipped: no golden gradients under {}", root.display());
    }
    found.then_some(root)
}

fn json(path: &Path) -> Value {
    serde_json::from_reader(BufReader::new(File::open(path).expect("golden file"))).expect("JSON")
}

type Arrays = HashMap<String, Vec<f64>>;

fn npz(path: &Path) -> Arrays {
    let mut archive = npyz::npz::NpzArchive::open(path).expect("golden file");
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| {
            let array = archive
                .by_name(&name)
                .expect("an array")
                .expect("it is listed");
            (name, array.into_vec().expect("f64"))
        })
        .collect()
}

/// The first batch of ten: picture and words of each sentence, in the original's order.
struct FirstBatch {
    pictures: Vec<Vec<f32>>,
    sentences: Vec<Vec<u32>>,
}

impl FirstBatch {
    fn read(root: &Path, words: &[String]) -> Self {
        let vocabulary = Vocabulary::from_words(words.to_vec()).expect("vocabulary");
        let dataset = Dataset::open(root.join("oracle/data/flickr8k")).expect("dataset");
        let features =
            Features::open(root.join("oracle/data/flickr8k/vgg_feats.mat")).expect("features");
        let batches = json(&root.join("oracle/nt1/train_trace/batches.json"));
        let (mut pictures, mut sentences) = (Vec::new(), Vec::new());
        for pick in batches["batches"][0].as_array().expect("a batch") {
            let number = |i: usize| pick[i].as_u64().expect("an id");
            let image = dataset
                .images
                .iter()
                .find(|image| u64::from(image.imgid) == number(0))
                .expect("picture of a batch");
            let caption = image
                .captions
                .iter()
                .find(|caption| serde_json::to_value(caption.sentid).expect("a number") == pick[1])
                .expect("sentence of a batch");
            pictures.push(features.row(image.imgid).expect("a vector").to_vec());
            sentences.push(vocabulary.encode(&caption.tokens));
        }
        Self {
            pictures,
            sentences,
        }
    }
}

/// Rows of the draws of each sentence, in packed order: `steps_before` rows come before the words.
fn pack_draws(draws: &[&Vec<f64>], order: &[usize], lengths: &[usize], width: usize) -> Vec<f64> {
    let longest = *lengths.iter().max().expect("a sentence");
    let mut packed = Vec::new();
    for t in 0..longest {
        for &sentence in order.iter().filter(|&&s| t < lengths[s]) {
            packed.extend_from_slice(&draws[sentence][t * width..(t + 1) * width]);
        }
    }
    packed
}

struct Found {
    cost: f64,
    regularization: f64,
    gradients: Vec<(String, Vec<f64>)>,
}

/// Costs and gradients as the original reports them: divided by the batch size, L2 included.
fn compute<T: Element>(
    root: &Path,
    variant: &str,
    drop: Option<&Arrays>,
    summary: &Value,
) -> Found {
    let device = Device::cpu(2);
    let saved = read_neuraltalk(&root.join(format!("oracle/nt1/checkpoints/{variant}.p2")))
        .expect("checkpoint");
    let first = FirstBatch::read(root, &saved.words);
    let decoder = Decoder::<T>::from_parameters(saved.decoder.clone(), &device, |name| {
        let array = saved.arrays.iter().find(|a| a.name == name)?;
        Some(Tensor::from_values(&device, &array.shape, &array.data))
    })
    .expect("parameters");

    let count = first.sentences.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&s| std::cmp::Reverse(first.sentences[s].len()));
    let sorted: Vec<&Vec<u32>> = order.iter().map(|&s| &first.sentences[s]).collect();
    let packed = Packed::new(&sorted);
    let features: Vec<f32> = first.pictures.concat();
    let features = Tensor::from_values(&device, &[count, saved.decoder.feature()], &features);
    let batch = Sentences {
        image_of: &order,
        live: &packed.live,
        inputs: &packed.inputs,
        targets: &packed.targets,
    };

    let dropout = match drop {
        None => Dropout::Off,
        Some(arrays) => Dropout::Given(masks(
            &device,
            &saved.decoder,
            arrays,
            &order,
            &first.sentences,
            summary,
        )),
    };
    let loss = decoder.loss(&features, &batch, Objective::default(), &dropout, true);
    let regc = summary["regc"].as_f64().expect("regc");
    let mut regularization = 0.0;
    let gradients = decoder
        .parameters()
        .iter()
        .zip(&loss.gradients)
        .map(|(p, g)| {
            let weights = p.value.data().iter().map(|w| w.to_f64());
            let l2 = if p.regularized { regc } else { 0.0 };
            regularization += 0.5 * l2 * weights.clone().map(|w| w * w).sum::<f64>();
            let total = g
                .data()
                .iter()
                .zip(weights)
                .map(|(g, w)| (g.to_f64() + l2 * w) / count as f64);
            (p.name.clone(), total.collect())
        })
        .collect();
    Found {
        cost: loss.total / count as f64,
        regularization: regularization / count as f64,
        gradients,
    }
}

fn masks<T: Element>(
    device: &Device,
    config: &DecoderConfig,
    arrays: &Arrays,
    order: &[usize],
    sentences: &[Vec<u32>],
    summary: &Value,
) -> Vec<Mask<T>> {
    let probability = |key: &str| summary[key].as_f64().expect("a probability");
    let (encoder, decoder) = (
        probability("drop_prob_encoder"),
        probability("drop_prob_decoder"),
    );
    let draws = |per_sentence: usize, which: usize| -> Vec<&Vec<f64>> {
        (0..sentences.len())
            .map(|s| &arrays[&format!("rand_{:03}", s * per_sentence + which)])
            .collect()
    };
    let mask = |draws: Vec<&Vec<f64>>, extra: usize, width: usize, p: f64| {
        let lengths: Vec<usize> = sentences.iter().map(|s| s.len() + 1 + extra).collect();
        let packed = pack_draws(&draws, order, &lengths, width);
        Mask::from_draws(device, &[packed.len() / width, width], &packed, p)
    };
    match config {
        DecoderConfig::Lstm(c) => vec![
            mask(draws(2, 0), 1, c.embedding, encoder),
            mask(draws(2, 1), 1, c.hidden, decoder),
        ],
        DecoderConfig::Rnn(c) => {
            let pictures: Vec<f64> = order
                .iter()
                .flat_map(|&s| draws(3, 1)[s].iter().copied())
                .collect();
            vec![
                mask(draws(3, 0), 0, c.embedding, encoder),
                Mask::from_draws(device, &[order.len(), c.hidden], &pictures, encoder),
                mask(draws(3, 2), 0, c.hidden, decoder),
            ]
        }
        DecoderConfig::Attention(_) => unreachable!("NeuralTalk has none"),
    }
}

/// The golden gradient under our name; `step` if only every so many-th row of it was kept.
fn golden(arrays: &Arrays, name: &str, config: &DecoderConfig) -> (Vec<f64>, usize) {
    let whole = |key: &str| (arrays[key].clone(), 1);
    let (e, h) = match config {
        DecoderConfig::Lstm(c) => (c.embedding, c.hidden),
        DecoderConfig::Rnn(c) => (c.embedding, c.hidden),
        DecoderConfig::Attention(_) => unreachable!("NeuralTalk has none"),
    };
    let wlstm = |from: usize, to: usize| {
        let all = &arrays["grad_WLSTM"];
        (all[from * 4 * h..to * 4 * h].to_vec(), 1)
    };
    match name {
        "projection.weight" => match arrays.get("grad_We") {
            Some(all) => (all.clone(), 1),
            None => (arrays["grad_We_every16"].clone(), 16),
        },
        "projection.bias" => whole("grad_be"),
        "embedding.weight" => whole("grad_Ws"),
        "lstm.bias" => wlstm(0, 1),
        "lstm.input" => wlstm(1, 1 + e),
        "lstm.hidden" => wlstm(1 + e, 1 + e + h),
        "rnn.input.weight" => whole("grad_Wxh"),
        "rnn.input.bias" => whole("grad_bxh"),
        "rnn.hidden.weight" => whole("grad_Whh"),
        "rnn.hidden.bias" => whole("grad_bhh"),
        "output.weight" => whole("grad_Wd"),
        "output.bias" => whole("grad_bd"),
        other => panic!("a parameter without a golden gradient: {other}"),
    }
}

fn compare<T: Element>(tolerance: f64) {
    let Some(root) = shared() else { return };
    let summaries = json(&root.join("oracle/nt1/grads/summary.json"));
    for variant in VARIANTS {
        let config = read_neuraltalk(&root.join(format!("oracle/nt1/checkpoints/{variant}.p2")))
            .expect("checkpoint")
            .decoder;
        for case in ["nodrop", "drop"] {
            let name = format!("{variant}_{case}");
            let summary = &summaries[&name];
            let arrays = npz(&root.join(format!("oracle/nt1/grads/{name}.npz")));
            let found = compute::<T>(&root, variant, (case == "drop").then_some(&arrays), summary);
            let close = |what: &str, got: f64, want: f64| {
                assert!(
                    (got - want).abs() <= tolerance * want.abs(),
                    "{name}: {what} {got}, want {want}"
                );
            };
            close(
                "cost",
                found.cost,
                summary["loss_cost"].as_f64().expect("cost"),
            );
            close(
                "regularisation",
                found.regularization,
                summary["reg_cost"].as_f64().expect("cost"),
            );
            for (parameter, gradient) in &found.gradients {
                let (want, step) = golden(&arrays, parameter, &config);
                let got: Vec<f64> = if step == 1 {
                    gradient.clone()
                } else {
                    let columns = gradient.len() / config.feature();
                    let rows = gradient.chunks(columns).step_by(step);
                    rows.flatten().copied().collect()
                };
                assert_eq!(got.len(), want.len(), "{name} {parameter}");
                let size = want.iter().fold(0.0f64, |s, g| s.max(g.abs()));
                assert!(size > 0.0, "{name} {parameter}: a golden gradient of zeros");
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    let allowed = tolerance * size.max(want.abs());
                    assert!(
                        (got - want).abs() <= allowed,
                        "{name} {parameter}[{i}]: {got}, want {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn double_precision_is_the_original() {
    compare::<f64>(1e-9);
}

#[test]
fn single_precision_is_close_to_the_original() {
    compare::<f32>(1e-4);
}

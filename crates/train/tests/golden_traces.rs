//! Golden training traces: 40 steps of NeuralTalk's own `driver.py` with every solver.
//!
//! The original ran on Python 2.7 with only the sampler replaced (`train_trace/batches.json`);
//! costs of each step, validation perplexities, final weights, and one run that aborts.

mod oracle;

use checkpoint::legacy::{NeuralTalkCheckpoint, read_neuraltalk};
use data::{Batch, Dataset, Encoded, Features, Split, Vocabulary};
use models::Decoder;
use nn::Dropout;
use serde_json::Value;
use tensor::{Device, Element, Tensor};
use train::{Options, Solver, Trainer, perplexity};

/// What one trace differs by, relative.
#[derive(Debug, Default)]
struct Worst {
    cost: f64,
    ppl2: f64,
    validation: f64,
    weight: f64,
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cost,
            ppl2,
            validation,
            weight,
        } = self;
        write!(
            f,
            "cost {cost:.0e}, ppl2 {ppl2:.0e}, val ppl2 {validation:.0e}, weights {weight:.0e}"
        )
    }
}

struct Data {
    dataset: Dataset,
    features: Features,
    batches: Vec<Vec<(u32, u32)>>,
}

fn load_data() -> Option<Data> {
    let root = oracle::root()?;
    let file = std::fs::read(root.join("nt1/train_trace/batches.json")).expect("batches.json");
    let json: Value = serde_json::from_slice(&file).expect("JSON");
    let number = |v: &Value| v.as_u64().expect("a number") as u32;
    let batches = json["batches"].as_array().expect("a list").iter();
    Some(Data {
        dataset: Dataset::open(root.join("data/flickr8k")).expect("dataset"),
        features: Features::open(root.join("data/flickr8k/vgg_feats.mat")).expect("features"),
        batches: batches
            .map(|batch| {
                let pairs = batch.as_array().expect("a list").iter();
                pairs.map(|p| (number(&p[0]), number(&p[1]))).collect()
            })
            .collect(),
    })
}

fn load(name: &str) -> NeuralTalkCheckpoint {
    let root = oracle::root().expect("was there before");
    read_neuraltalk(&root.join("nt1/checkpoints").join(name)).expect("checkpoint")
}

fn decoder<T: Element>(start: &NeuralTalkCheckpoint, device: &Device) -> Decoder<T> {
    Decoder::from_parameters(start.decoder.clone(), device, |name| {
        let array = start.arrays.iter().find(|a| a.name == name)?;
        Some(Tensor::from_values(device, &array.shape, &array.data))
    })
    .expect("parameters")
}

fn options(params: &Value) -> Options {
    let number = |name: &str| params[name].as_f64().expect(name);
    let solver = match params["solver"].as_str().expect("solver") {
        "vanilla" => Solver::Vanilla,
        "adagrad" => Solver::Adagrad,
        "adadelta" => Solver::Adadelta,
        "rmsprop" => Solver::Rmsprop,
        other => panic!("solver {other}"),
    };
    Options {
        solver,
        momentum: number("momentum"),
        decay_rate: number("decay_rate"),
        smooth_eps: number("smooth_eps"),
        learning_rate: number("learning_rate"),
        regc: number("regc"),
        grad_clip: number("grad_clip"),
        ..Options::default()
    }
}

/// Trains along the trace and returns the largest relative differences.
fn follow<T: Element>(data: &Data, trace: &Value) -> Worst {
    let device = Device::cpu(2);
    let start = load(trace["start"].as_str().expect("start"));
    let options = options(&trace["params"]);
    let vocabulary = Vocabulary::from_words(start.words.clone()).expect("words");
    let train = Encoded::new(&data.dataset, &vocabulary, &[Split::Train]);
    let val = Encoded::new(&data.dataset, &vocabulary, &[Split::Val]);
    let records: Vec<_> = data.dataset.of_split(Split::Train).collect();
    let pick = |&(imgid, sentid): &(u32, u32)| {
        let image = records
            .iter()
            .position(|r| r.imgid == imgid)
            .expect("imgid");
        let mut captions = records[image].captions.iter();
        let sentence = captions.position(|c| c.sentid == sentid).expect("sentid");
        (image, sentence)
    };
    let mut trainer: Trainer<T> = Trainer::new(
        decoder(&start, &device),
        options.optimizer(),
        options.clip(),
        options.regc,
    );
    let mut worst = Worst::default();
    let mut validations = trace["val_ppl_lines"].as_array().expect("lines").iter();
    let steps = trace["steps"].as_array().expect("steps");
    for (it, step) in steps.iter().enumerate() {
        let picks: Vec<_> = data.batches[it].iter().map(pick).collect();
        let batch = Batch::new(&train, &data.features, &picks).expect("vectors");
        let pass = trainer.pass(&batch, &Dropout::Off);
        for (found, name) in [
            (pass.cost.loss, "loss_cost"),
            (pass.cost.regularization, "reg_cost"),
            (pass.cost.total(), "total_cost"),
        ] {
            let want = step[name].as_f64().expect(name);
            // The penalty is a thousandth of the cost that is minimised: compare with that.
            raise(
                &mut worst.cost,
                found,
                want,
                step["total_cost"].as_f64().expect("cost"),
            );
        }
        let want = step["ppl2"].as_f64().expect("ppl2");
        raise(&mut worst.ppl2, pass.cost.ppl2, want, want);
        trainer.update(&pass, options.learning_rate);
        // 20 steps an epoch, eval_period 0.5.
        if (it + 1).is_multiple_of(10) {
            let line = validations.next().expect("a line").as_str().expect("text");
            let want: f64 = line
                .rsplit(' ')
                .next()
                .expect("a number")
                .parse()
                .expect("a number");
            let found = perplexity(&trainer.decoder, &val, &data.features, 100, None).expect("val");
            raise(&mut worst.validation, found.ppl2, want, want);
        }
    }
    assert!(
        validations.next().is_none(),
        "all validations were compared"
    );
    let mut compared = 0;
    for (name, want) in trace["final"].as_object().expect("final") {
        let found = neuraltalk_array(&trainer.decoder, name);
        let norm = want["l2"].as_f64().expect("l2");
        let l2 = found.iter().map(|x| x * x).sum::<f64>().sqrt();
        raise(&mut worst.weight, l2, norm, norm);
        let rms = norm / (found.len() as f64).sqrt();
        let indices = want["flat_index"].as_array().expect("indices").iter();
        for (index, value) in indices.zip(want["value"].as_array().expect("values")) {
            let index = index.as_u64().expect("index") as usize;
            let value = value.as_f64().expect("value");
            raise(&mut worst.weight, found[index], value, value.abs().max(rms));
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared} weights compared");
    worst
}

fn raise(worst: &mut f64, found: f64, want: f64, scale: f64) {
    let difference = (found - want).abs() / scale;
    assert!(difference.is_finite(), "{found} where {want} is expected");
    *worst = worst.max(difference);
}

/// A parameter as NeuralTalk stores it.
fn neuraltalk_array<T: Element>(decoder: &Decoder<T>, name: &str) -> Vec<f64> {
    let parts: &[&str] = match name {
        "We" => &["projection.weight"],
        "be" => &["projection.bias"],
        "Ws" => &["embedding.weight"],
        "WLSTM" => &["lstm.bias", "lstm.input", "lstm.hidden"],
        "Wd" => &["output.weight"],
        "bd" => &["output.bias"],
        "Wxh" => &["rnn.input.weight"],
        "bxh" => &["rnn.input.bias"],
        "Whh" => &["rnn.hidden.weight"],
        "bhh" => &["rnn.hidden.bias"],
        other => panic!("parameter {other}"),
    };
    let values = parts
        .iter()
        .flat_map(|part| decoder.parameters().value(part).data());
    values.map(|x| x.to_f64()).collect()
}

fn all(check: impl Fn(&str, &Value, &Data)) {
    let Some(data) = load_data() else { return };
    let folder = oracle::root().expect("was there").join("nt1/train_trace");
    let mut traces = 0;
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path
            .file_stem()
            .expect("name")
            .to_string_lossy()
            .into_owned();
        if name == "batches" {
            continue;
        }
        let bytes = std::fs::read(&path).expect("trace");
        check(&name, &serde_json::from_slice(&bytes).expect("JSON"), &data);
        traces += 1;
    }
    assert!(traces >= 14, "{traces} traces");
}

#[test]
fn every_solver_follows_the_original_in_f64() {
    all(|name, trace, data| {
        let worst = follow::<f64>(data, trace);
        println!("f64 {name}: {worst}");
        // Measured: 3e-14 in the worst trace (RMSprop on trained weights), 1e-15 in the others.
        assert!(
            worst.cost < 1e-12 && worst.ppl2 < 1e-12,
            "{name}: {worst:?}"
        );
        // Printed with six digits after the point.
        assert!(worst.validation < 2e-7, "{name}: {worst:?}");
        assert!(worst.weight < 1e-11, "{name}: {worst:?}");
    });
}

#[test]
fn every_solver_follows_the_original_in_f32() {
    all(|name, trace, data| {
        let worst = follow::<f32>(data, trace);
        println!("f32 {name}: {worst}");
        // Measured: 2e-5 and 2e-4 in RMSprop on trained weights, 4e-7 and 2e-6 in the others.
        assert!(
            worst.cost < 1e-4 && worst.validation < 1e-4,
            "{name}: {worst:?}"
        );
        assert!(worst.weight < 1e-3, "{name}: {worst:?}");
    });
}

#[test]
fn perplexities_of_all_splits_are_the_originals() {
    let Some(data) = load_data() else { return };
    let root = oracle::root().expect("was there");
    let bytes = std::fs::read(root.join("nt1/eval/perplexity.json")).expect("perplexity.json");
    let expected: Value = serde_json::from_slice(&bytes).expect("JSON");
    let mut compared = 0;
    for (variant, expected) in expected.as_object().expect("variants") {
        let path = root.join("nt1/checkpoints").join(format!("{variant}.p2"));
        if !path.exists() {
            println!("skipped: {variant} has no checkpoint");
            continue;
        }
        let start = load(&format!("{variant}.p2"));
        let vocabulary = Vocabulary::from_words(start.words.clone()).expect("words");
        let device = Device::cpu(1);
        let (double, single) = (
            decoder::<f64>(&start, &device),
            decoder::<f32>(&start, &device),
        );
        for (split, max_images, name) in [
            (Split::Train, None, "train"),
            (Split::Val, None, "val"),
            (Split::Test, None, "test"),
            (Split::Test, Some(3), "test_eval_max_images_3"),
        ] {
            let encoded = Encoded::new(&data.dataset, &vocabulary, &[split]);
            let want = expected["ppl2"][name].as_f64().expect("ppl2");
            for batch in [7, 100] {
                let f64 = perplexity(&double, &encoded, &data.features, batch, max_images);
                let f32 = perplexity(&single, &encoded, &data.features, batch, max_images);
                let (f64, f32) = (f64.expect("f64").ppl2, f32.expect("f32").ppl2);
                assert!(
                    (f64 / want - 1.0).abs() < 1e-9,
                    "{variant} {name}: {f64}, not {want}"
                );
                assert!(
                    (f32 / want - 1.0).abs() < 1e-5,
                    "{variant} {name}: {f32}, not {want}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= 32, "{compared} compared");
}

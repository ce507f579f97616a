//! Checkpoints with an encoder inside, and weights as 16-bit floats.

mod fixtures;

use std::path::Path;

use checkpoint::{
    Checkpoint, CheckpointError, EncoderPart, Precision, inspect, load, load_from,
    published_preprocessing, save, save_as, write_as,
};
use data::picture::{Fit, Preprocessing};
use fixtures::{Random, checkpoint, lstm};
use models::encoder::{Encoder, EncoderConfig};
use models::{DecoderConfig, LstmConfig};
use proptest::prelude::*;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use tensor::Device;

/// Two convolutions and an LSTM that reads their 6 numbers.
fn bundle() -> Checkpoint {
    let config = EncoderConfig::Small(vec![4, 6]);
    let mut bundle = checkpoint(DecoderConfig::Lstm(LstmConfig {
        feature: 6,
        embedding: 2,
        hidden: 2,
        vocabulary: 4,
        tanh_c: true,
    }));
    let encoder = Encoder::new(config.network(), 1, &Device::cpu(1));
    let mut preprocessing = published_preprocessing(&config);
    preprocessing.mean = [1.5, -2.0, 1e-3];
    preprocessing.fit = Fit::CenterCrop(20);
    bundle.encoder = Some(EncoderPart::new(config, preprocessing, &encoder));
    bundle
}

fn bytes(checkpoint: &Checkpoint, precision: Precision) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_as(checkpoint, precision, &mut bytes).expect("writing to memory");
    bytes
}

fn parse(file: &[u8]) -> Result<Checkpoint, CheckpointError> {
    load_from(file, file.len() as u64, Path::new("model.safetensors"))
}

/// The file with its header changed; offsets are left alone.
fn edited(file: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    edit(&mut header);
    let header = header.to_string().into_bytes();
    let start = (header.len() as u64).to_le_bytes();
    [&start, header.as_slice(), &file[8 + length..]].concat()
}

#[test]
fn a_mean_is_of_every_weight_and_only_of_siblings() {
    let one = bundle();
    let moved = |by: f32| {
        let mut other = one.clone();
        let numbers = other.weights.iter_mut().flat_map(|w| w.data.singles_mut());
        numbers.for_each(|x| *x += by);
        let encoder = &mut other.encoder.as_mut().expect("inside").state;
        let numbers = encoder.iter_mut().flat_map(|(_, values)| values);
        numbers.for_each(|x| *x += by);
        other
    };
    let mut mean = one.clone();
    mean.average(&[moved(1.0), moved(5.0)]).expect("siblings");
    assert_eq!(mean.training, None);
    for (mean, one) in mean.weights.iter().zip(&one.weights) {
        for (m, x) in mean.data.singles().iter().zip(&*one.data.singles()) {
            assert!((m - (x + 2.0)).abs() < 1e-6, "{}: {m} of {x}", one.name);
        }
    }
    let state =
        |checkpoint: &Checkpoint| checkpoint.encoder.as_ref().expect("inside").state.clone();
    for ((name, _, mean), (_, _, one)) in state(&mean).iter().zip(state(&one).iter()) {
        for (m, x) in mean.singles().iter().zip(&*one.singles()) {
            assert!((m - (x + 2.0)).abs() < 1e-6, "{name}: {m} of {x}");
        }
    }
    let mut other_words = one.clone();
    other_words.words.swap(1, 2);
    let mut other_encoder = one.clone();
    other_encoder
        .encoder
        .as_mut()
        .expect("inside")
        .about
        .preprocessing
        .mean = [0.0; 3];
    for (other, what) in [(other_words, "vocabulary"), (other_encoder, "encoder")] {
        let refused = one.clone().average(&[moved(0.0), other]).unwrap_err();
        assert_eq!(refused, format!("number 3 has another {what}"));
    }
    let mut without = moved(2.0);
    without.encoder = None;
    let mut first = one.clone();
    first
        .average(&[without.clone(), moved(4.0)])
        .expect("the mean of two encoders");
    let number = |checkpoint: &Checkpoint| {
        let state = state(checkpoint);
        let (_, _, values) = state.iter().next().expect("arrays");
        values.singles()[0]
    };
    assert!((number(&first) - number(&one) - 2.0).abs() < 1e-6);
    assert!(
        (first.weights[0].data.singles()[0] - one.weights[0].data.singles()[0] - 2.0).abs() < 1e-6
    );
    let refused = without.average(&[one]).unwrap_err();
    assert_eq!(refused, "number 2 has another encoder");
}

#[test]
fn an_encoder_comes_back_and_computes_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let want = bundle();
    save(&want, &path).expect("saved");
    let found = load(&path).expect("loaded");
    assert_eq!(found, want);
    let part = found.encoder.as_ref().expect("an encoder");
    let again = part.build(&Device::cpu(1)).expect("an encoder");
    assert_eq!(again.state(), part.state);
    assert_eq!(EncoderPart::load(&path).expect("an encoder inside"), *part);
    let about = inspect(&found).encoder.expect("an encoder");
    assert_eq!(about.about.config.to_string(), "small [4, 6]");
    let kernels = 4 * 3 * 9 + 6 * 4 * 9;
    assert_eq!(about.number_count, kernels + 4 * (4 + 6));
    // Both parts can be had with the format's own crate; only what is new has the new version.
    let file = std::fs::read(&path).expect("read");
    let (_, header) = safetensors::SafeTensors::read_metadata(&file).expect("a header");
    let entries = header.metadata().as_ref().expect("entries");
    assert_eq!(entries["format_version"], "2");
    assert_eq!(
        entries["encoder"],
        concat!(
            r#"{"config":{"small":[4,6]},"preprocessing":{"size":16,"fit":{"center-crop":20},"#,
            r#""filter":"bicubic","round":true,"channels":"rgb","mean":[1.5,-2.0,0.001],"#,
            r#""scale":[0.0078125,0.0078125,0.0078125]}}"#
        )
    );
    let tensors = safetensors::SafeTensors::deserialize(&file).expect("tensors");
    let filters = tensors.tensor("encoder.convolutions.1.weight");
    assert_eq!(filters.expect("filters").shape(), [6, 4, 3, 3]);
}

#[test]
fn half_the_bytes_are_half_the_precision_of_matrices_alone() {
    let want = bundle();
    let file = bytes(&want, Precision::F16);
    let tensors = safetensors::SafeTensors::deserialize(&file).expect("tensors");
    for (name, tensor) in tensors.tensors() {
        let half = tensor.shape().len() > 1;
        assert_eq!(tensor.dtype() == Dtype::F16, half, "{name}");
    }
    let found = parse(&file).expect("loaded");
    let close = |a: &[f32], b: &[f32], exact: bool| {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= b.abs() / 2048.0;
        let same = a.len() == b.len() && a.iter().zip(b).all(near);
        same && (!exact || a == b)
    };
    for (a, b) in found.weights.iter().zip(&want.weights) {
        let vector = a.shape.len() < 2;
        assert!(
            close(&a.data.singles(), &b.data.singles(), vector),
            "{}",
            a.name
        );
        let kept = matches!(a.data, tensor::Numbers::Halves(_));
        assert_eq!(kept, !vector, "{} stays in 16 bits", a.name);
    }
    let state = |c: &Checkpoint| c.encoder.clone().expect("an encoder").state;
    let (ours, theirs) = (state(&found), state(&want));
    for ((name, shape, a), (_, _, b)) in ours.iter().zip(theirs.iter()) {
        assert!(close(&a.singles(), &b.singles(), shape.len() < 2), "{name}");
    }
    assert_ne!(found, want, "something was rounded");
    assert_eq!(bytes(&found, Precision::F16), file, "rounded once only");
    // The numbers that are too large for it are not written as infinite ones.
    let mut large = bundle();
    large.weights[0].data.singles_mut()[3] = 70_000.0;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.safetensors");
    let error = save_as(&large, Precision::F16, &path).expect_err("too large");
    let text = error.to_string();
    let want = "array `projection.weight` holds 70000, f16 reaches up to 65504";
    assert!(text.ends_with(want), "{text}");
    assert!(!path.exists());
    large.weights[0].data.singles_mut()[3] = f32::INFINITY;
    save_as(&large, Precision::F16, &path).expect("what was infinite stays so");
}

#[test]
fn a_checkpoint_without_encoder_is_as_small_as_it_says() {
    let (full, half) = (
        bytes(&lstm(), Precision::F32),
        bytes(&lstm(), Precision::F16),
    );
    let numbers = |matrices: bool| -> usize {
        let of = lstm().weights;
        let counted = of.iter().filter(|w| (w.shape.len() > 1) == matrices);
        counted.map(|w| w.data.len()).sum()
    };
    let data = |file: &[u8]| {
        file.len() - 8 - u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize
    };
    assert_eq!(data(&full), 4 * (numbers(true) + numbers(false)));
    assert_eq!(data(&half), 2 * numbers(true) + 4 * numbers(false));
    let version = |file: &[u8]| {
        let (_, header) = safetensors::SafeTensors::read_metadata(file).expect("a header");
        header.metadata().as_ref().expect("entries")["format_version"].clone()
    };
    assert_eq!((version(&full), version(&half)), ("1".into(), "2".into()));
}

#[test]
fn what_does_not_fit_is_named() {
    let file = bytes(&bundle(), Precision::F32);
    let entry = |text: &'static str, by: &'static str| {
        edited(&file, |h| {
            let entry = h["__metadata__"]["encoder"].as_str().expect("an entry");
            let changed = entry.replacen(text, by, 1);
            assert_ne!(entry, changed);
            h["__metadata__"]["encoder"] = json!(changed);
        })
    };
    let renamed = edited(&file, |h| {
        let moved = h
            .as_object_mut()
            .expect("a map")
            .remove("encoder.norms.0.bias");
        h["encoder.norms.0.shift"] = moved.expect("a tensor");
    });
    let removed = edited(&file, |h| {
        let entries = h["__metadata__"].as_object_mut().expect("a map");
        entries.remove("encoder").expect("an entry");
    });
    let cases = [
        (
            renamed,
            "tensor `encoder.norms.0.bias` is missing, the model needs it as [4]",
        ),
        (
            removed,
            "tensor `encoder.convolutions.0.weight` [4, 3, 3, 3] is not a parameter of the model",
        ),
        (
            entry("[4,6]", "[5,6]"),
            "tensor `encoder.convolutions.0.weight` is [4, 3, 3, 3] in the file, the model needs [5, 3, 3, 3]",
        ),
        (
            entry("[4,6]", "[4,7]"),
            "the encoder makes vectors of 7 numbers, the decoder expects 6",
        ),
        (
            entry(r#"{"small":[4,6]}"#, r#"{"res-net":18}"#),
            "the encoder is of an unknown kind, resnet18",
        ),
        (
            entry(r#"{"small":[4,6]}"#, r#""vgg-17""#),
            "`encoder` does not parse: unknown variant `vgg-17`",
        ),
        (
            entry(r#""size":16"#, r#""size":0"#),
            "the encoder prepares pictures of 0 pixels, 1 to 4096 are possible",
        ),
        (
            entry(r#""size":16"#, r#""size":18446744073709551615"#),
            "the encoder prepares pictures of 18446744073709551615 pixels",
        ),
        (
            entry(r#""center-crop":20"#, r#""center-crop":99999999999"#),
            "the encoder crops from 99999999999 pixels, at most 4096 are possible",
        ),
        (entry("1.5", "1e39"), "`encoder` does not parse"),
        (
            entry(r#""filter":"bicubic""#, r#""filter":"lanczos""#),
            "`encoder` does not parse: unknown variant `lanczos`",
        ),
    ];
    for (file, want) in cases {
        let found = parse(&file).expect_err(want).to_string();
        assert!(found.contains(want), "{found}\ninstead of {want}");
        assert!(found.starts_with("`model.safetensors`"), "{found}");
    }
}

#[test]
fn parts_that_do_not_fit_are_not_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.safetensors");
    type Change = fn(&mut EncoderPart);
    let changes: [(Change, &str); 4] = [
        (
            |p| p.state.retain(|name| name != "norms.1.running_var"),
            "the encoder's tensor `norms.1.running_var` is missing, the encoder needs it as [6]",
        ),
        (
            |p| p.state.insert("fc.bias", vec![1], vec![0.0]),
            "11 arrays of an encoder that has 10",
        ),
        (
            |p| p.about.preprocessing.scale[2] = f32::NAN,
            "the encoder has the mean or scale NaN",
        ),
        (
            |p| p.about.config = EncoderConfig::Small(vec![4, 8]),
            "the encoder makes vectors of 8 numbers, the decoder expects 6",
        ),
    ];
    for (change, want) in changes {
        let mut broken = bundle();
        change(broken.encoder.as_mut().expect("an encoder"));
        let error = save(&broken, &path).expect_err(want).to_string();
        assert!(error.ends_with(want), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn every_prefix_is_cut_off() {
    for precision in [Precision::F32, Precision::F16] {
        let file = bytes(&bundle(), precision);
        for n in 0..file.len() {
            let error = parse(&file[..n]).expect_err("a prefix");
            let cut_off = matches!(error, CheckpointError::Truncated { .. });
            assert!(cut_off, "prefix {n}: {error}");
        }
    }
}

#[test]
fn mutations_do_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut refused = 0;
    for precision in [Precision::F32, Precision::F16] {
        let file = bytes(&bundle(), precision);
        let mut random = Random(20140611);
        for _ in 0..1000 {
            match parse(&random.mutate(&file)) {
                // A changed digit or weight is still a checkpoint, and one that can be saved and built.
                Ok(checkpoint) => {
                    save(&checkpoint, &folder.path().join("m")).expect("saved");
                    let part = checkpoint.encoder.expect("an encoder");
                    part.build(&Device::cpu(1)).expect("built");
                }
                Err(error) => {
                    refused += 1;
                    let text = error.to_string();
                    assert!(text.starts_with("`model.safetensors`"), "{text}");
                }
            }
        }
    }
    assert!((500..2000).contains(&refused), "{refused} refused");
}

#[test]
fn a_published_file_loses_its_classifier() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("encoder.safetensors");
    let state = bundle().encoder.expect("an encoder").state;
    let extra = [("_fc.weight", vec![2, 1], vec![1.0f32, 2.0])];
    let all = state
        .iter()
        .map(|(name, shape, values)| (name, shape.to_vec(), values.singles().to_vec()))
        .chain(extra);
    let buffers: Vec<_> = all
        .map(|(name, shape, values)| {
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = buffers.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes);
        (*name, view.expect("a view"))
    });
    let file = safetensors::tensor::serialize(views, None).expect("a file");
    std::fs::write(&path, file).expect("written");
    let part = EncoderPart::load(&path).expect("an encoder");
    assert_eq!(part.state, state);
    assert_eq!(
        part.about.preprocessing,
        Preprocessing::efficientnet_lite(16)
    );
}

proptest! {
    /// Whatever a description says, it is an answer without panic, and what is loaded can be saved.
    #[test]
    fn any_description_is_answered(size in any::<u64>(), small in 0usize..6000, filters in prop::collection::vec(0usize..9, 0..10), crop in any::<u16>()) {
        let file = bytes(&bundle(), Precision::F32);
        for size in [size, small as u64] {
            let file = edited(&file, |h| {
                let text = h["__metadata__"]["encoder"].as_str().expect("an entry").to_owned();
                let mut entry: Value = serde_json::from_str(&text).expect("JSON");
                entry["config"] = json!({"small": filters});
                entry["preprocessing"]["size"] = json!(size);
                entry["preprocessing"]["fit"] = json!({"center-crop": crop});
                h["__metadata__"]["encoder"] = json!(entry.to_string());
            });
            if let Ok(checkpoint) = parse(&file) {
                prop_assert_eq!(&filters, &[4, 6]);
                prop_assert!(checkpoint.encoder.is_some());
            }
        }
    }
}

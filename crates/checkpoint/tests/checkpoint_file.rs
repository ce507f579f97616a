//! Our own files: what is saved comes back, and what is broken is named.

mod fixtures;

use std::path::Path;

use checkpoint::{
    Checkpoint, CheckpointError, FORMAT_VERSION, FileKind, inspect, load, load_any, load_from, save,
};
use fixtures::{Random, array, bytes, lstm, resumable, rnn};
use models::{DecoderConfig, LstmConfig, RnnConfig};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(file: &[u8]) -> Result<Checkpoint, CheckpointError> {
    load_from(file, file.len() as u64, Path::new("model.safetensors"))
}

/// The file with its header changed; offsets are left alone.
fn edited(file: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    edit(&mut header);
    let header = header.to_string().into_bytes();
    let length = (header.len() as u64).to_le_bytes();
    [
        &length,
        header.as_slice(),
        &file[8 + u64::from_le_bytes(file[..8].try_into().expect("8")) as usize..],
    ]
    .concat()
}

fn refused(file: &[u8]) -> (String, String) {
    let error = parse(file).expect_err("a broken file");
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn what_is_saved_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    for checkpoint in [lstm(), rnn(), resumable()] {
        save(&checkpoint, &path).expect("saved");
        assert_eq!(load(&path).expect("loaded"), checkpoint);
        assert_eq!(load_any(&path).expect("loaded"), checkpoint);
    }
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .collect();
    assert_eq!(names.len(), 1, "no temporary file is left: {names:?}");
}

/// Large files are read in parts side by side; tensors of all sizes lie across their borders.
#[test]
fn a_file_read_in_parts_is_what_it_is_in_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let mut checkpoint = resumable();
    let state = checkpoint.training.as_mut().expect("a state");
    for (i, count) in [500_000, 0, 3, 700_000, 1, 1_200_000, 300_000, 2]
        .into_iter()
        .enumerate()
    {
        let data = (0..count).map(|x| (x + 7 * i) as f32).collect();
        let (name, shape) = (format!("part{i}"), vec![count]);
        state
            .arrays
            .push(checkpoint::NamedArray { name, shape, data });
    }
    save(&checkpoint, &path).expect("saved");
    assert_eq!(load(&path).expect("loaded"), checkpoint);
    let file = std::fs::read(&path).expect("the file");
    assert_eq!(parse(&file).expect("loaded"), checkpoint);
    std::fs::write(&path, &file[..file.len() - 1]).expect("written");
    let error = load(&path).expect_err("a byte is missing");
    assert!(
        matches!(error, CheckpointError::Truncated { .. }),
        "{error}"
    );
}

/// The whole header as a literal: a change of format must show here and raise the version.
#[test]
fn the_header_is_what_it_is() {
    let file = bytes(&resumable());
    let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
    let header = String::from_utf8(file[8..8 + length].to_vec()).expect("UTF-8");
    assert_eq!(header.len() % 8, 0);
    let want = concat!(
        r#"{"__metadata__":{"format":"neuraltalk","format_version":"1","#,
        r#""decoder":"{\"generator\":\"lstm\",\"feature\":3,\"embedding\":2,\"hidden\":2,\"vocabulary\":4,\"tanh_c\":true}","#,
        r#""vocabulary":"[\".\",\"a\",\"dog\",\"café\"]","word_counts":"[100,99,98,97]","#,
        r#""features":"{\"name\":\"vgg_feats\",\"dimension\":3}","dataset":"flickr8k","#,
        r#""params":"{\"solver\":\"rmsprop\",\"learning_rate\":0.001,\"batch_size\":100,\"fappend\":\"é\"}","#,
        r#""iteration":"1234","epoch":"12.34","scores":"{\"bleu4\":0.30000000000000004,\"val_ppl2\":17.4}","#,
        r#""training":"{\"random\":[18446744073709551615,1,0],\"smooth\":0.30000000000000004,\"tiny\":5e-324}"},"#,
        r#""projection.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},"#,
        r#""projection.bias":{"dtype":"F32","shape":[2],"data_offsets":[24,32]},"#,
        r#""embedding.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[32,64]},"#,
        r#""lstm.input":{"dtype":"F32","shape":[2,8],"data_offsets":[64,128]},"#,
        r#""lstm.hidden":{"dtype":"F32","shape":[2,8],"data_offsets":[128,192]},"#,
        r#""lstm.bias":{"dtype":"F32","shape":[8],"data_offsets":[192,224]},"#,
        r#""output.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[224,256]},"#,
        r#""output.bias":{"dtype":"F32","shape":[4],"data_offsets":[256,272]},"#,
        r#""training.adam.m.output.bias":{"dtype":"F32","shape":[4],"data_offsets":[272,288]},"#,
        r#""training.adam.v.output.bias":{"dtype":"F32","shape":[4],"data_offsets":[288,304]}}"#,
    );
    assert_eq!(header.trim_end(), want);
    assert_eq!(file, bytes(&resumable()), "the same bytes each time");
}

/// The oracle is the format's own crate.
#[test]
fn the_safetensors_crate_reads_our_files() {
    let checkpoint = resumable();
    let file = bytes(&checkpoint);
    let tensors = safetensors::SafeTensors::deserialize(&file).expect("a safetensors file");
    assert_eq!(tensors.len(), 10);
    for weight in &checkpoint.weights {
        let tensor = tensors.tensor(&weight.name).expect("a tensor");
        assert_eq!(tensor.shape(), weight.shape);
        let bytes: Vec<u8> = weight
            .data
            .singles()
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        assert_eq!(tensor.data(), bytes);
    }
}

/// Written by the crate (which sorts by name and shuffles the metadata), with a stranger's entry
/// and one tensor in f64.
#[test]
fn another_writer_s_order_types_and_entries_are_tolerated() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let checkpoint = resumable();
    let file = bytes(&checkpoint);
    let (_, header) = safetensors::SafeTensors::read_metadata(&file).expect("a header");
    let mut entries = header.metadata().clone().expect("entries");
    entries.insert("note".into(), "made elsewhere".into());
    let state = &checkpoint.training.as_ref().expect("a state").arrays;
    let state = state.iter().map(|a| (format!("training.{}", a.name), a));
    let all: Vec<_> = checkpoint
        .weights
        .iter()
        .map(|a| (a.name.clone(), a))
        .chain(state)
        .collect();
    let buffers: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = all
        .iter()
        .map(|(name, a)| match name.as_str() {
            "lstm.bias" => (
                name.clone(),
                Dtype::F64,
                a.shape.clone(),
                a.data
                    .singles()
                    .iter()
                    .flat_map(|&x| f64::from(x).to_le_bytes())
                    .collect(),
            ),
            _ => (
                name.clone(),
                Dtype::F32,
                a.shape.clone(),
                a.data
                    .singles()
                    .iter()
                    .flat_map(|x| x.to_le_bytes())
                    .collect(),
            ),
        })
        .collect();
    let views = buffers.iter().map(|(name, dtype, shape, bytes)| {
        (
            name.as_str(),
            TensorView::new(*dtype, shape.clone(), bytes).expect("a view"),
        )
    });
    let file = serialize(views, Some(entries)).expect("a file");
    assert_eq!(parse(&file).expect("a checkpoint"), checkpoint);
}

#[test]
fn every_broken_part_is_named_with_both_numbers() {
    let file = bytes(&resumable());
    let metadata = |key: &'static str, value: &'static str| {
        edited(&file, |h| h["__metadata__"][key] = json!(value))
    };
    let without = |key: &'static str| {
        edited(&file, |h| {
            drop(
                h["__metadata__"]
                    .as_object_mut()
                    .expect("a map")
                    .remove(key),
            )
        })
    };
    let mut wrong_type = file.clone();
    let at = String::from_utf8_lossy(&file)
        .find("\"F32\"")
        .expect("a type");
    wrong_type[at + 1..at + 4].copy_from_slice(b"I32");
    let cases: [(Vec<u8>, &str); 20] = [
        (
            metadata("format", "pt"),
            "not a neuraltalk checkpoint: format is `pt`",
        ),
        (
            without("format"),
            "not a neuraltalk checkpoint: format is not stated",
        ),
        (
            metadata("format_version", "3"),
            "has format version 3, this program reads up to 2",
        ),
        (
            metadata("format_version", "one"),
            "`format_version` does not parse: expected value",
        ),
        (without("vocabulary"), "`vocabulary` is missing"),
        (
            metadata("vocabulary", "[\".\"]"),
            "1 words, the decoder has a vocabulary of 4",
        ),
        (
            metadata("word_counts", "[1,2]"),
            "2 word counts for 4 words",
        ),
        (
            metadata("word_counts", "[1,2,3,-4]"),
            "`word_counts` does not parse: invalid value: integer `-4`",
        ),
        (
            metadata("features", r#"{"name":"x","dimension":9}"#),
            "features of dimension 9, the decoder expects 3",
        ),
        (metadata("epoch", "-1"), "epoch -1"),
        (metadata("iteration", "1.5"), "`iteration` does not parse"),
        (
            metadata("scores", r#"{"ppl":"low"}"#),
            "`scores` has \"low\" for `ppl`, not a number",
        ),
        (
            metadata("decoder", r#"{"generator":"gru"}"#),
            "`decoder` does not parse: unknown variant `gru`",
        ),
        (
            metadata(
                "decoder",
                r#"{"generator":"lstm","feature":3,"embedding":2,"hidden":18446744073709551615,"vocabulary":4,"tanh_c":true}"#,
            ),
            "`decoder` has sizes (D, E, H, V) = [3, 2, 18446744073709551615, 4], each must be 1 to 268435456",
        ),
        (
            without("training"),
            "2 tensors of a training state, but no `training` entry",
        ),
        (
            metadata(
                "decoder",
                r#"{"generator":"lstm","feature":3,"embedding":2,"hidden":3,"vocabulary":4,"tanh_c":true}"#,
            ),
            "tensor `lstm.input` is [2, 8] in the file, the model needs [2, 12]",
        ),
        (
            metadata(
                "decoder",
                r#"{"generator":"rnn","feature":3,"embedding":2,"hidden":2,"vocabulary":4,"relu_encoders":true,"feed_once":true}"#,
            ),
            "tensor `rnn.input.weight` is missing, the model needs it as [2, 2]",
        ),
        (
            edited(&file, |h| {
                let moved = h
                    .as_object_mut()
                    .expect("a map")
                    .remove("training.adam.v.output.bias");
                h["output.scale"] = moved.expect("a tensor");
            }),
            "tensor `output.scale` [4] is not a parameter of the model (it has projection.weight, ",
        ),
        (
            edited(&file, |h| {
                h["output.bias"]["data_offsets"] = json!([256, 268])
            }),
            "broken safetensors header",
        ),
        (
            wrong_type,
            "tensor `projection.weight` is stored as I32, expected F32 (or F16, BF16, F64)",
        ),
    ];
    for (file, want) in cases {
        let (found, _) = refused(&file);
        assert!(found.contains(want), "{found}\ninstead of {want}");
        assert!(found.starts_with("`model.safetensors`"), "{found}");
    }
    let (_, hint) = refused(&metadata("format_version", "3"));
    assert_eq!(
        hint,
        "use a newer neuraltalk, or save the model again with this one"
    );
    assert_eq!(FORMAT_VERSION, 2);
    let shapes = metadata(
        "decoder",
        r#"{"generator":"lstm","feature":3,"embedding":2,"hidden":2,"vocabulary":5,"tanh_c":true}"#,
    );
    let words = edited(&shapes, |h| {
        h["__metadata__"]["vocabulary"] = json!(r#"[".","a","b","c","d"]"#)
    });
    let words = edited(&words, |h| {
        drop(
            h["__metadata__"]
                .as_object_mut()
                .expect("a map")
                .remove("word_counts"),
        )
    });
    let (error, hint) = refused(&words);
    assert!(
        error.ends_with("tensor `embedding.weight` is [4, 2] in the file, the model needs [5, 2]"),
        "{error}"
    );
    assert!(hint.contains("vocabulary"), "{hint}");
}

#[test]
fn every_prefix_is_cut_off_and_every_extra_byte_is_seen() {
    let file = bytes(&resumable());
    for n in 0..file.len() {
        let error = parse(&file[..n]).expect_err("a prefix");
        assert!(
            matches!(error, CheckpointError::Truncated { .. }),
            "prefix {n}: {error}"
        );
    }
    let (error, _) = refused(&[&file[..], b"x"].concat());
    let (found, expected) = (file.len() + 1, file.len());
    assert!(
        error.ends_with(&format!(
            "has {found} bytes, its header accounts for {expected}"
        )),
        "{error}"
    );
    // A length that lies allocates nothing and is no overflow.
    for lie in [u64::MAX, u64::MAX - 7, 1 << 62, file.len() as u64] {
        let file = [&lie.to_le_bytes()[..], &file[8..]].concat();
        assert!(matches!(
            parse(&file),
            Err(CheckpointError::Truncated { .. })
        ));
    }
}

#[test]
fn a_thousand_mutations_do_no_harm() {
    let file = bytes(&resumable());
    let mut random = Random(20150611);
    let mut refused = 0;
    for _ in 0..1000 {
        match parse(&random.mutate(&file)) {
            // A changed digit or weight is still a checkpoint, and one that can be saved.
            Ok(checkpoint) => assert!(save_to_memory(&checkpoint)),
            Err(error) => {
                refused += 1;
                assert!(
                    error.to_string().starts_with("`model.safetensors`"),
                    "{error}"
                );
            }
        }
    }
    assert!((500..1000).contains(&refused), "{refused} refused");
}

fn save_to_memory(checkpoint: &Checkpoint) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    save(checkpoint, &folder.path().join("m")).is_ok()
}

#[test]
fn parts_that_do_not_fit_are_not_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    save(&lstm(), &path).expect("saved");
    type Change = fn(&mut Checkpoint);
    let changes: [(Change, &str); 6] = [
        (
            |c| drop(c.words.pop()),
            "3 words, the decoder has a vocabulary of 4",
        ),
        (
            |c| drop(c.weights.pop()),
            "7 weights, the decoder has 8 parameters",
        ),
        (
            |c| c.weights.swap(0, 1),
            "weight `projection.bias` is [2] where the decoder has `projection.weight` [3, 2]",
        ),
        (
            |c| c.weights[0].data.singles_mut().truncate(5),
            "array `projection.weight` of shape [3, 2] holds 5 values",
        ),
        (|c| c.epoch = f64::NAN, "epoch NaN"),
        (
            |c| c.features.dimension = 4096,
            "features of dimension 4096, the decoder expects 3",
        ),
    ];
    for (change, want) in changes {
        let mut broken = lstm();
        change(&mut broken);
        let error = save(&broken, &path).expect_err(want);
        assert!(error.to_string().ends_with(want), "{error}");
        assert_eq!(load(&path).expect("untouched"), lstm());
    }
    let mut twice = resumable();
    let state = twice.training.as_mut().expect("a state");
    state.arrays.push(state.arrays[0].clone());
    let error = save(&twice, &path).expect_err("two of a name");
    assert!(
        error
            .to_string()
            .contains("two arrays are named `training.adam.m.output.bias`"),
        "{error}"
    );
    assert_eq!(load(&path).expect("untouched"), lstm());
}

#[test]
fn files_of_other_kinds_are_recognised() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let cases: [(&[u8], FileKind, &str, &str); 7] = [
        (b"", FileKind::Empty, "it is empty", "was its writer killed"),
        (
            &[4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0],
            FileKind::Torch7,
            "it looks like a Torch7 file (.t7)",
            "Torch7 models",
        ),
        (b"4\n1\n3\nV 1\n", FileKind::Torch7, "Torch7", "Torch7"),
        (
            b"PK\x03\x04rest",
            FileKind::Zip,
            "it is a zip archive",
            "PyTorch",
        ),
        (b"\x1f\x8b\x08rest", FileKind::Gzip, "compressed", "gunzip"),
        (
            b"\x89HDF\r\n",
            FileKind::Hdf5,
            "HDF5",
            ".safetensors or NeuralTalk's .p",
        ),
        (
            b"hello\xff",
            FileKind::Unknown,
            "it starts with `hello\\xff`",
            ".safetensors or NeuralTalk's .p",
        ),
    ];
    for (start, kind, text, hint) in cases {
        assert_eq!(FileKind::sniff(start), kind);
        std::fs::write(&path, start).expect("written");
        let error = load_any(&path).expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
        assert!(
            error.hint().is_some_and(|found| found.contains(hint)),
            "{error:?}"
        );
    }
    let error = load_any(&folder.path().join("no/such")).expect_err("no file");
    assert!(matches!(error, CheckpointError::Read { .. }));
    assert!(error.to_string().contains("no/such"), "{error}");
}

#[test]
fn a_description_has_the_statistics() {
    let mut checkpoint = resumable();
    let bias = checkpoint.weights[7].data.singles_mut();
    bias.copy_from_slice(&[1.0, 2.0, 4.0, f32::NAN]);
    let found = inspect(&checkpoint);
    let bias = &found.parameters[7];
    assert_eq!(
        (bias.name.as_str(), bias.min, bias.max, bias.non_finite),
        ("output.bias", 1.0, 4.0, 1)
    );
    assert!((bias.mean - 7.0 / 3.0).abs() < 1e-12);
    assert!((bias.std - (14.0f64 / 9.0).sqrt()).abs() < 1e-12);
    assert_eq!(found.parameter_count, 68);
    assert!(found.resumable && found.optimizer.len() == 2);
    assert_eq!(found.first_words, [".", "a", "dog", "café"]);
    let json = serde_json::to_value(&found).expect("JSON");
    assert_eq!(json["decoder"]["generator"], "lstm");
    assert_eq!(json["parameters"][7]["shape"], json!([4]));
}

fn decoders() -> impl Strategy<Value = DecoderConfig> {
    (
        1..5usize,
        1..4usize,
        1..4usize,
        1..9usize,
        any::<(bool, bool, bool)>(),
    )
        .prop_map(
            |(feature, embedding, hidden, vocabulary, (lstm, a, b))| match lstm {
                true => DecoderConfig::Lstm(LstmConfig {
                    feature,
                    embedding,
                    hidden,
                    vocabulary,
                    tanh_c: a,
                }),
                false => DecoderConfig::Rnn(RnnConfig {
                    feature,
                    embedding,
                    hidden,
                    vocabulary,
                    relu_encoders: a,
                    feed_once: b,
                }),
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any sizes, words, numbers and bits; NaN bits included, so compared as bytes.
    #[test]
    fn anything_comes_back(
        decoder in decoders(),
        word in any::<String>(),
        dataset in any::<String>(),
        bits in any::<u32>(),
        score in any::<f64>(),
        real in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
        integer in any::<u64>(),
        epoch in 0.0..1e9f64,
        with_state in any::<bool>(),
    ) {
        let mut checkpoint = fixtures::checkpoint(decoder);
        let last = checkpoint.words.len() - 1;
        checkpoint.words[last] = word;
        checkpoint.dataset = dataset;
        checkpoint.weights[0].data.singles_mut()[0] = f32::from_bits(bits);
        checkpoint.scores.insert("any".into(), score);
        checkpoint.epoch = epoch;
        checkpoint.iteration = integer;
        if with_state {
            checkpoint.training = Some(checkpoint::TrainingState {
                arrays: vec![array("v", &[2, 0], 1.0), array("", &[], 0.5)],
                json: json!({"real": real, "integer": integer}),
            });
        }
        let file = bytes(&checkpoint);
        let back = parse(&file).expect("a checkpoint");
        prop_assert_eq!(&bytes(&back), &file);
        prop_assert_eq!(back.weights[0].data.singles()[0].to_bits(), bits);
        prop_assert_eq!(&back.words, &checkpoint.words);
        prop_assert!(back.scores["any"].to_bits() == score.to_bits() || score.is_nan());
        if let Some(state) = back.training {
            let found = state.json["real"].as_f64().expect("a number");
            prop_assert_eq!(found.to_bits(), real.to_bits());
            prop_assert_eq!(state.json["integer"].as_u64(), Some(integer));
        }
    }
}

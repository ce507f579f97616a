//! Encoders from other people's files: PyTorch's two formats against a formula, EfficientNet-Lite0 against ONNX Runtime,
//! malformed files.

mod fixtures;

use std::path::{Path, PathBuf};

use checkpoint::legacy::read_torch;
use checkpoint::{CheckpointError, load_encoder, load_state};
use fixtures::shared;
use models::encoder::{EncoderConfig, EncoderError, StateDict};
use proptest::prelude::*;
use tensor::{Device, Tensor};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// What `golden/torch_files.py` says.
fn check_formula(state: &StateDict) {
    let shapes: [(&str, &[usize]); 8] = [
        ("float", &[4, 3, 2, 2]),
        ("double", &[5]),
        ("half", &[3, 2]),
        ("bfloat", &[3, 2]),
        ("transposed", &[3, 4]),
        ("slice", &[2, 3]),
        ("parameter", &[2]),
        ("scalar", &[]),
    ];
    for (t, (name, shape)) in shapes.into_iter().enumerate() {
        let (found, values) = state.get(name).unwrap_or_else(|| panic!("no `{name}`"));
        assert_eq!(found, shape, "{name}");
        for (i, &x) in values.singles().iter().enumerate() {
            let want = (t as f32 + 1.0) * (i as f32 - 3.0) / 8.0;
            assert_eq!(x, want, "{name}[{i}]");
        }
    }
    let (shape, values) = state.get("empty").expect("an empty one");
    assert!(shape == [0, 3] && values.is_empty());
    // The counter is of integers.
    assert_eq!(state.iter().count(), 9);
}

#[test]
fn both_formats_of_pytorch_are_read() {
    for file in ["state_zip.pth", "state_old.pth", "wrapped.pth"] {
        check_formula(&load_state(&golden(file)).expect(file));
    }
}

#[test]
fn a_pickled_module_is_refused_by_name() {
    let error = load_state(&golden("module.pth")).expect_err("code");
    let text = error.to_string();
    assert!(text.contains("torch.nn.modules.linear.Linear"), "{text}");
    assert!(error.hint().is_some());
}

#[test]
fn every_prefix_is_refused() {
    for file in ["state_zip.pth", "state_old.pth"] {
        let bytes = std::fs::read(golden(file)).expect("the file");
        for n in 0..bytes.len() {
            assert!(
                read_torch(&bytes[..n], Path::new(file)).is_err(),
                "{file}: {n}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever bytes say, there is an answer, and it is not larger than the file allows.
    #[test]
    fn changed_bytes_never_panic(old: bool, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let file = if old { "state_old.pth" } else { "state_zip.pth" };
        let mut bytes = std::fs::read(golden(file)).expect("the file");
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(state) = read_torch(&bytes, Path::new(file)) {
            let numbers: usize = state.iter().map(|(.., values)| values.len()).sum();
            prop_assert!(numbers <= bytes.len());
        }
    }
}

#[test]
fn other_files_are_named_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.pth");
    std::fs::write(&path, b"").expect("written");
    assert!(matches!(
        load_state(&path),
        Err(CheckpointError::Truncated { .. })
    ));
    let device = Device::cpu(1);
    let error = load_encoder(&golden("state_zip.pth"), &device).expect_err("no encoder");
    assert!(
        matches!(
            &error,
            CheckpointError::Encoder {
                source: EncoderError::Unknown { tensors: 9, .. },
                ..
            }
        ),
        "{error}"
    );
}

/// An array of an `.npz` file as numbers.
fn npz(path: &Path, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
    let mut archive = npyz::npz::NpzArchive::open(path).expect("the archive");
    let array = archive.by_name(name).expect("readable")?;
    let shape = array.shape().iter().map(|&n| n as usize).collect();
    let kind = array.dtype().descr();
    let values = match kind.as_str() {
        k if k.contains("u1") => {
            let bytes: Vec<u8> = array.into_vec().expect("bytes");
            bytes.into_iter().map(f32::from).collect()
        }
        k if k.contains("f8") => {
            let numbers: Vec<f64> = array.into_vec().expect("doubles");
            numbers.into_iter().map(|x| x as f32).collect()
        }
        _ => array.into_vec().expect("floats"),
    };
    Some((shape, values))
}

#[test]
fn lite0_is_what_onnx_runtime_computes() {
    let (Some(file), Some(expected)) = (
        shared("data/encoders/efficientnet-lite0.safetensors"),
        shared("oracle/encoders/efficientnet_lite0.npz"),
    ) else {
        return;
    };
    let device = Device::cpu(2);
    let (config, encoder) = load_encoder(&file, &device).expect("an encoder");
    assert_eq!(config, EncoderConfig::EfficientNetLite(0));
    let (shape, pixels) = npz(&expected, "pixels").expect("pixels");
    let pixels: Vec<f32> = pixels.iter().map(|x| (x - 127.0) / 128.0).collect();
    let pixels = Tensor::new(&device, &shape, pixels);
    let folded = encoder.fold();
    let features = folded.encode(&pixels);
    assert_eq!(features.regions.shape(), [6, 49, 1280]);
    assert_eq!(features.pooled.shape(), [6, 1280]);
    let (_, want) = npz(&expected, "features").expect("features");
    let largest = want.iter().fold(0.0f32, |a, x| a.max(x.abs()));
    let worst = |a: &[f32], b: &[f32]| {
        let error = |(a, b): (&f32, &f32)| (a - b).abs();
        a.iter().zip(b).map(error).fold(0.0f32, f32::max)
    };
    let pooled = worst(features.pooled.data(), &want) / largest;
    assert!(pooled < 1e-4, "pooled: {pooled:.1e} of the largest");
    // ONNX Runtime's regions are planes (6, 1280, 7, 7).
    let (_, planes) = npz(&expected, "regions").expect("regions");
    let turned: Vec<f32> = (0..6 * 49 * 1280)
        .map(|i| {
            let (image, region, channel) = (i / (49 * 1280), i / 1280 % 49, i % 1280);
            planes[(image * 1280 + channel) * 49 + region]
        })
        .collect();
    let regions = worst(features.regions.data(), &turned) / 6.0;
    assert!(regions < 1e-4, "regions: {regions:.1e} of 6");
    // Where numbers aren't next to nothing they agree one by one.
    for (a, b) in features.pooled.data().iter().zip(&want) {
        assert!((a - b).abs() <= 1e-3 * b.abs().max(0.01), "{a} and {b}");
    }
    println!("pooled {pooled:.1e}, regions {regions:.1e}");
    // One picture alone, and on another number of threads, gives the same bits.
    let image = 224 * 224 * 3;
    let one = Tensor::new(&device, &[1, 224, 224, 3], pixels.data()[..image].to_vec());
    let alone = folded.encode(&one);
    assert!(alone.pooled.data() == &features.pooled.data()[..1280]);
    let device = Device::cpu(3);
    let (_, encoder) = load_encoder(&file, &device).expect("an encoder");
    let again = encoder.fold().encode(&one);
    assert!(again.regions.data() == alone.regions.data());
}

//! Caffe's files: synthetic networks whose outputs NumPy and OpenCV computed, the image pipeline of NeuralTalk's MATLAB
//! script, a residual block by hand, files that were cut off or changed.

mod fixtures;

use std::path::{Path, PathBuf};

use checkpoint::legacy::read_caffe;
use checkpoint::{Checkpoint, EncoderPart, FeaturesInfo, load_encoder};
use data::picture::{DecodeLimits, Preprocessing, open};
use fixtures::{Random, shared};
use models::encoder::{Encoder, EncoderConfig, StateDict, pixels_from_planes};
use tensor::Device;

fn golden(name: &str) -> Option<PathBuf> {
    shared(&format!("oracle/caffe/{name}"))
}

/// An array of floats of an `.npz` file.
fn npz(path: &Path, name: &str) -> (Vec<usize>, Vec<f64>) {
    let mut archive = npyz::npz::NpzArchive::open(path).expect("the archive");
    let array = archive.by_name(name).expect("readable").expect(name);
    let shape = array.shape().iter().map(|&n| n as usize).collect();
    let values = match array.dtype().descr().contains("f8") {
        true => array.into_vec().expect("doubles"),
        false => {
            let floats: Vec<f32> = array.into_vec().expect("floats");
            floats.into_iter().map(f64::from).collect()
        }
    };
    (shape, values)
}

fn encode(part: &EncoderPart, planes: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let device = Device::cpu(2);
    let encoder = part.build(&device).expect("an encoder");
    let pixels = pixels_from_planes(&device, planes, part.about.preprocessing.size);
    let features = encoder.fold().encode(&pixels);
    (
        features.regions.shape().to_vec(),
        features.pooled.data().to_vec(),
    )
}

fn close(found: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), want.len(), "{what}");
    for (found, want) in found.iter().zip(want) {
        let error = (f64::from(*found) - want).abs();
        assert!(error < tolerance, "{what}: {found} instead of {want}");
    }
}

#[test]
fn networks_of_both_forms_compute_what_numpy_computes() {
    for (net, size, regions) in [("vgg", 64, [2, 256, 16]), ("odd", 67, [2, 289, 12])] {
        let (Some(v1), Some(new), Some(expected)) = (
            golden(&format!("{net}_v1.caffemodel")),
            golden(&format!("{net}_new.caffemodel")),
            golden(&format!("{net}_forward_random.npz")),
        ) else {
            return;
        };
        let part = EncoderPart::load(&v1).expect("an encoder");
        assert_eq!(part.about.preprocessing.size, size);
        let later = EncoderPart::load(&new).expect("an encoder");
        assert_eq!(later, part, "both files hold the same network");
        let (_, x) = npz(&expected, "x");
        let x: Vec<f32> = x.into_iter().map(|x| x as f32).collect();
        let (_, want) = npz(&expected, "fc7");
        let (shape, found) = encode(&part, &x);
        assert_eq!(shape, regions, "{net}");
        close(&found, &want, 1e-4, net);
        let (config, _) = load_encoder(&v1, &Device::cpu(1)).expect("an encoder");
        assert_eq!(config, part.about.config);

        // Inside a checkpoint, description and all.
        let text = serde_json::to_string(&part.about).expect("text");
        let back = serde_json::from_str(&text).expect("a description");
        assert_eq!(part.about, back);
        let mut checkpoint: Checkpoint = fixtures::lstm();
        checkpoint.decoder = models::DecoderConfig::Lstm(models::LstmConfig {
            feature: 32,
            embedding: 2,
            hidden: 2,
            vocabulary: 4,
            tanh_c: false,
        });
        checkpoint = fixtures::checkpoint(checkpoint.decoder);
        checkpoint.features = FeaturesInfo {
            name: "fc7".into(),
            dimension: 32,
        };
        checkpoint.encoder = Some(part);
        let file = fixtures::bytes(&checkpoint);
        let found = checkpoint::load_from(&file[..], file.len() as u64, Path::new("m"));
        assert_eq!(found.expect("a checkpoint"), checkpoint);
    }
}

#[test]
fn photographs_become_the_features_of_the_matlab_script() {
    let Some(values) = golden("image_features.json") else {
        return;
    };
    let values: serde_json::Value =
        serde_json::from_slice(&std::fs::read(values).expect("read")).expect("JSON");
    for net in ["vgg", "odd"] {
        let (Some(file), Some(blobs)) = (
            golden(&format!("{net}_v1.caffemodel")),
            golden(&format!("{net}_image_blobs.npz")),
        ) else {
            return;
        };
        let part = EncoderPart::load(&file).expect("an encoder");
        let (shape, blobs) = npz(&blobs, "blob_bgr_chw");
        let blob = shape[1..].iter().product::<usize>();
        let names = [
            "jump.jpg",
            "qjujW6d.png",
            "img03.png",
            "img06.png",
            "img05.jpg",
        ];
        for (at, name) in names.into_iter().enumerate() {
            let folders = ["data/example_images", "oracle/nt2/data/imgs"];
            let mut files = folders
                .iter()
                .filter_map(|f| shared(&format!("{f}/{name}")));
            let Some(path) = files.next() else { continue };
            let picture = open(&path, &DecodeLimits::default()).expect("a picture");
            let prepared = part.about.preprocessing.apply(&picture);
            // The two JPEG files were decoded by another program.
            let (pixels, features) = match name.ends_with("png") {
                true => (1e-2, 1e-3),
                false => (6.0, 0.25),
            };
            let want = &blobs[at * blob..(at + 1) * blob];
            close(&prepared, want, pixels, &format!("{net} {name}: pixels"));
            let want = values[name][net]["fc7"].as_array().expect("numbers");
            let want: Vec<f64> = want.iter().map(|x| x.as_f64().expect("a number")).collect();
            let (_, found) = encode(&part, &prepared);
            close(&found, &want, features, &format!("{net} {name}: features"));
        }
    }
}

/// One field of a message: where it starts and ends, its number, and where its contents lie if it has any.
fn fields(bytes: &[u8]) -> Vec<(std::ops::Range<usize>, u64, std::ops::Range<usize>)> {
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    };
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        let key = varint(&mut at);
        let contents = match key & 7 {
            0 => {
                varint(&mut at);
                at..at
            }
            1 => at + 8..at + 8,
            5 => at + 4..at + 4,
            _ => {
                let length = varint(&mut at) as usize;
                at..at + length
            }
        };
        at = contents.end;
        all.push((start..at, key >> 3, contents));
    }
    all
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field with contents.
fn put(out: &mut Vec<u8>, number: u64, contents: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, contents.len() as u64);
    out.extend_from_slice(contents);
}

/// A field with a number.
fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}

/// The file with doubles (field 8 of a blob) instead of floats (field 5).
fn with_doubles(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (whole, number, layer) in fields(bytes) {
        if number != 2 {
            out.extend_from_slice(&bytes[whole]);
            continue;
        }
        let (layer, mut changed) = (&bytes[layer], Vec::new());
        for (whole, number, blob) in fields(layer) {
            if number != 6 {
                changed.extend_from_slice(&layer[whole]);
                continue;
            }
            let (blob, mut doubles) = (&layer[blob], Vec::new());
            for (whole, number, data) in fields(blob) {
                if number != 5 {
                    doubles.extend_from_slice(&blob[whole]);
                    continue;
                }
                let (floats, _) = blob[data].as_chunks::<4>();
                let wide = |f: &[u8; 4]| f64::from(f32::from_le_bytes(*f)).to_le_bytes();
                put(
                    &mut doubles,
                    8,
                    &floats.iter().flat_map(wide).collect::<Vec<_>>(),
                );
            }
            put(&mut changed, 6, &doubles);
        }
        put(&mut out, 2, &changed);
    }
    out
}

#[test]
fn doubles_are_read() {
    let Some(file) = golden("odd_v1.caffemodel") else {
        return;
    };
    let bytes = std::fs::read(&file).expect("read");
    let doubles = with_doubles(&bytes);
    assert!(bytes.len() + 50_000 < doubles.len());
    let path = Path::new("m");
    let want = read_caffe(&bytes, path).expect("an encoder");
    assert_eq!(read_caffe(&doubles, path).expect("an encoder"), want);
}

#[test]
fn what_is_cut_off_is_refused_unless_it_ends_between_layers() {
    for name in ["odd_v1.caffemodel", "odd_new.caffemodel"] {
        let Some(file) = golden(name) else { return };
        let bytes = std::fs::read(&file).expect("read");
        let mut between: Vec<usize> = fields(&bytes).iter().map(|f| f.0.end).collect();
        between.push(0);
        let near = |n: usize| between.iter().any(|&b| b.abs_diff(n) < 40);
        for n in (0..bytes.len()).filter(|&n| near(n) || n % 101 == 0) {
            let read = read_caffe(&bytes[..n], Path::new(name));
            assert!(read.is_err() || between.contains(&n), "{name}: prefix {n}");
        }
        // Without the old form's inputs, which come last, even that is no network.
        if name.contains("v1") {
            let end = fields(&bytes)
                .iter()
                .find(|f| f.1 == 2)
                .expect("a layer")
                .0
                .end;
            assert!(read_caffe(&bytes[..end], Path::new(name)).is_err());
        }
    }
}

#[test]
fn mutations_do_no_harm() {
    let mut refused = 0;
    for name in ["odd_v1.caffemodel", "odd_new.caffemodel"] {
        let Some(file) = golden(name) else { return };
        let bytes = std::fs::read(&file).expect("read");
        // Where the structure is, and not the weights.
        let small: Vec<usize> = (0..bytes.len())
            .filter(|&at| {
                fields(&bytes)
                    .iter()
                    .any(|f| f.0.contains(&at) && f.0.len() < 120 || at.abs_diff(f.0.start) < 60)
            })
            .take(2000)
            .collect();
        let mut random = Random(1706);
        for round in 0..1000 {
            let mut changed = match round % 2 {
                0 => random.mutate(&bytes),
                _ => bytes.clone(),
            };
            if round % 2 == 1 {
                let at = small[random.below(small.len())];
                changed[at] = random.below(256) as u8;
            }
            match read_caffe(&changed, Path::new(name)) {
                Err(error) => {
                    assert!(
                        error.to_string().starts_with(&format!("`{name}`")),
                        "{error}"
                    );
                    refused += 1;
                }
                Ok((config, state)) => {
                    assert!(config.is_known());
                    let network = config.network();
                    Encoder::<f32>::from_state(network, &state, &Device::cpu(1)).expect("built");
                }
            }
        }
    }
    assert!(200 < refused, "{refused} refused");
}

/// A layer of the new form: name, type, bottoms, top, blobs, and more fields as they are.
fn layer(
    (name, kind): (&str, &str),
    bottoms: &[&str],
    top: &str,
    blobs: &[(&[u64], &[f32])],
    more: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, name.as_bytes());
    put(&mut out, 2, kind.as_bytes());
    for bottom in bottoms {
        put(&mut out, 3, bottom.as_bytes());
    }
    put(&mut out, 4, top.as_bytes());
    for (shape, values) in blobs {
        let (mut dims, mut sizes) = (Vec::new(), Vec::new());
        shape.iter().for_each(|&n| put_varint(&mut dims, n));
        put(&mut sizes, 1, &dims);
        let (mut blob, data): (_, Vec<u8>) = (
            Vec::new(),
            values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        );
        put(&mut blob, 5, &data);
        put(&mut blob, 7, &sizes);
        put(&mut out, 7, &blob);
    }
    out.extend_from_slice(more);
    out
}

/// A 1 x 1 convolution of `outputs` filters.
fn pointwise(outputs: u64, bias: bool) -> Vec<u8> {
    let (mut about, mut out) = (Vec::new(), Vec::new());
    put_number(&mut about, 1, outputs);
    put_number(&mut about, 2, u64::from(bias));
    put_number(&mut about, 4, 1);
    put(&mut out, 106, &about);
    out
}

/// Numbers that differ: about ±1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed + 77);
    (0..count)
        .map(|_| random.below(2001) as f32 / 1000.0 - 1.0)
        .collect()
}

#[test]
fn a_block_with_a_shortcut_is_computed_as_by_hand() {
    let (a, b, c, s) = (
        numbers(12, 1),
        numbers(12, 2),
        numbers(12, 3),
        numbers(16, 4),
    );
    let (bias, mean, variance) = (numbers(4, 5), numbers(4, 6), [0.5, 1.5, 2.0, 0.25]);
    let (slope, shift, factor, eps) = (numbers(4, 7), numbers(4, 8), 2.5f32, 1e-3f32);
    let scaled: [Vec<f32>; 2] =
        [mean.clone(), variance.to_vec()].map(|v| v.iter().map(|x| x * factor).collect());
    let mut norm = Vec::new();
    let mut about = vec![3 << 3 | 5];
    about.extend(eps.to_le_bytes());
    put(&mut norm, 139, &about);
    let mut pool = Vec::new();
    let mut about = Vec::new();
    put_number(&mut about, 1, 1);
    put_number(&mut about, 12, 1);
    put(&mut pool, 121, &about);
    let (c3, c4): (&[u64], &[u64]) = (&[4, 3, 1, 1], &[4, 4, 1, 1]);
    let layers = [
        layer(
            ("a", "Convolution"),
            &["data"],
            "a",
            &[(c3, &a), (&[4], &bias)],
            &pointwise(4, true),
        ),
        layer(
            ("bn", "BatchNorm"),
            &["a"],
            "a",
            &[(&[4], &scaled[0]), (&[4], &scaled[1]), (&[1], &[factor])],
            &norm,
        ),
        layer(
            ("scale", "Scale"),
            &["a"],
            "a",
            &[(&[4], &slope), (&[4], &shift)],
            &[],
        ),
        layer(("relu", "ReLU"), &["a"], "a", &[], &[]),
        layer(
            ("b", "Convolution"),
            &["a"],
            "b",
            &[(c4, &s)],
            &pointwise(4, false),
        ),
        layer(("sum", "Eltwise"), &["a", "b"], "sum", &[], &[]),
        layer(("relu2", "ReLU"), &["sum"], "sum", &[], &[]),
        layer(("pool", "Pooling"), &["sum"], "pool", &[], &pool),
        layer(
            ("classes", "InnerProduct"),
            &["pool"],
            "fc",
            &[(&[3, 4], &b), (&[3], &c[..3])],
            &{
                let (mut about, mut out) = (Vec::new(), Vec::new());
                put_number(&mut about, 1, 3);
                put(&mut out, 117, &about);
                out
            },
        ),
        layer(("prob", "Softmax"), &["fc"], "prob", &[], &[]),
    ];
    let mut file = Vec::new();
    put(&mut file, 3, b"data");
    [1u64, 3, 2, 2]
        .iter()
        .for_each(|&n| put_number(&mut file, 4, n));
    layers.iter().for_each(|l| put(&mut file, 100, l));
    let (config, state) = read_caffe(&file, Path::new("m")).expect("an encoder");
    let part = EncoderPart {
        about: checkpoint::EncoderAbout {
            preprocessing: Preprocessing {
                size: 2,
                ..Preprocessing::caffe_vgg()
            },
            config,
        },
        state,
    };
    let planes = numbers(12, 9);
    let (regions, found) = encode(&part, &planes);
    assert_eq!(regions, [1, 4, 4]);
    // By hand, pixel by pixel.
    let mut want = [0.0f64; 4];
    for pixel in 0..4 {
        let mut first = [0.0f64; 4];
        for m in 0..4 {
            let mut x = f64::from(bias[m]);
            for channel in 0..3 {
                x += f64::from(a[m * 3 + channel]) * f64::from(planes[channel * 4 + pixel]);
            }
            let deviation = (f64::from(variance[m]) + f64::from(eps)).sqrt();
            let normed = (x - f64::from(mean[m])) / deviation;
            first[m] = (normed * f64::from(slope[m]) + f64::from(shift[m])).max(0.0);
        }
        for m in 0..4 {
            let long: f64 = (0..4).map(|j| f64::from(s[m * 4 + j]) * first[j]).sum();
            want[m] += (long + first[m]).max(0.0) / 4.0;
        }
    }
    close(&found, &want, 1e-5, "the mean of the sum");
}

#[test]
fn layers_that_no_encoder_has_are_named() {
    let file = |layers: &[Vec<u8>]| {
        let mut file = Vec::new();
        put(&mut file, 3, b"data");
        layers.iter().for_each(|l| put(&mut file, 100, l));
        match read_caffe(&file, Path::new("net.caffemodel")) {
            Ok((config, _)) => panic!("{config}"),
            Err(error) => error.to_string(),
        }
    };
    let filters = numbers(12, 1);
    let c3: &[u64] = &[4, 3, 1, 1];
    let good = || {
        layer(
            ("a", "Convolution"),
            &["data"],
            "a",
            &[(c3, &filters)],
            &pointwise(4, false),
        )
    };
    let cases = [
        (
            vec![layer(("l", "LRN"), &["data"], "l", &[], &[])],
            "layer `l` is of type \"LRN\", which no encoder here has",
        ),
        (
            vec![layer(("a", "Convolution"), &["date"], "a", &[], &[])],
            "layer `a` reads `date`, which neither a layer before it nor an input makes",
        ),
        (
            vec![layer(
                ("a", "Convolution"),
                &["data"],
                "a",
                &[(&[4, 2, 1, 1], &filters)],
                &pointwise(4, false),
            )],
            "layer `a`: blob 0 is [4, 2, 1, 1], the layer needs [4, 3, 1, 1]",
        ),
        (
            vec![layer(
                ("a", "Convolution"),
                &["data"],
                "a",
                &[(c3, &filters[1..])],
                &pointwise(4, false),
            )],
            "layer `a`: blob 0 of shape [4, 3, 1, 1] holds 11 numbers",
        ),
        (
            vec![layer(
                ("a", "Convolution"),
                &["data"],
                "a",
                &[(c3, &filters)],
                &pointwise(4, true),
            )],
            "layer `a` has no blob 1, it needs [4]",
        ),
        (vec![good(), good()], "two layers are called `a`"),
        (
            vec![layer(("r", "ReLU"), &["data"], "r", &[], &[])],
            "layer `r` is a ReLU after neither a convolution nor a sum",
        ),
        (vec![good()], "it has no vector of a picture"),
        (vec![good(); 1201], "1201 layers, at most 1200 are read"),
    ];
    for (layers, want) in cases {
        let found = file(&layers);
        assert!(found.starts_with("`net.caffemodel`: "), "{found}");
        assert!(found.contains(want), "{found}\ninstead of {want}");
    }
    // LeNet, which reads grey pictures.
    let Some(lenet) = shared("data/legacy/lenet_iter_10000.caffemodel") else {
        return;
    };
    let error = load_encoder(&lenet, &Device::cpu(1))
        .expect_err("grey")
        .to_string();
    assert!(
        error.contains("blob 0 is [20, 1, 5, 5], the layer needs [20, 3, 5, 5]"),
        "{error}"
    );
}

#[test]
fn a_description_from_a_checkpoint_is_not_believed() {
    let Some(file) = golden("odd_v1.caffemodel") else {
        return;
    };
    let part = EncoderPart::load(&file).expect("an encoder");
    let text = serde_json::to_string(&part.about.config).expect("text");
    let known = |text: &str| {
        let config: Result<EncoderConfig, _> = serde_json::from_str(text);
        config.is_ok_and(|config| config.is_known())
    };
    assert!(known(&text));
    let zero = "18446744073709551615";
    for (from, to) in [
        (r#""size":67"#, r#""size":0"#),
        (r#""size":67"#, r#""size":100000"#),
        (r#""size":67"#, r#""size":20"#),
        (r#""kernel":[5,5]"#, r#""kernel":[0,5]"#),
        (r#""kernel":[5,5]"#, &format!(r#""kernel":[{zero},5]"#)),
        (r#""stride":2"#, r#""stride":0"#),
        (r#""each":2"#, r#""each":5"#),
        (r#""each":2"#, &format!(r#""each":{zero}"#)),
        (r#""outputs":8"#, &format!(r#""outputs":{zero}"#)),
        (r#""outputs":8"#, r#""outputs":9"#),
        (r#""grouped":2"#, r#""grouped":5"#),
        (r#""grouped":2"#, r#""grouped":0"#),
        (r#""name":"conv2""#, r#""name":"conv1""#),
        (r#""epsilon":0.00001"#, r#""epsilon":-1.0"#),
    ] {
        let changed = text.replacen(from, to, 1);
        assert!(
            changed != text || from.contains("epsilon"),
            "{from}: {text}"
        );
        assert!(changed == text || !known(&changed), "{to}");
    }
    let none = StateDict::default();
    assert!(
        Encoder::<f32>::from_state(part.about.config.network(), &none, &Device::cpu(1)).is_err()
    );
}

//! The facade against its parts put together by hand; bad pictures among good ones; ensembles.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use checkpoint::{Checkpoint, EncoderPart, FeaturesInfo, NamedArray, published_preprocessing};
use data::picture::{Picture, PictureError};
use generate::{
    BLOCK, BeamOptions, CaptionError, Captioner, Options, Sampling, Sentence, Source, beam,
};
use models::encoder::{Encoder, EncoderConfig, pixels_from_planes};
use models::{Decoder, DecoderConfig, LstmConfig};
use tensor::random::Random;
use tensor::{Device, Tensor};

const WORDS: [&str; 9] = [
    ".", "a", "red", "blue", "square", "circle", "on", "grass", "sky",
];

/// A random captioner; `encoder` is the seed of the one inside.
fn checkpoint(seed: u64, encoder: Option<u64>) -> Checkpoint {
    let device = Device::cpu(1);
    let decoder = DecoderConfig::Lstm(LstmConfig {
        feature: 6,
        embedding: 8,
        hidden: 8,
        vocabulary: WORDS.len(),
        tanh_c: true,
    });
    let model = Decoder::<f32>::new(decoder.clone(), &[0.0; WORDS.len()], seed, &device);
    // Many times the usual weights, so that pictures matter and sentences differ.
    let scale = |name: &str| {
        if name.starts_with("projection") {
            60.0
        } else {
            20.0
        }
    };
    let array = |p: &nn::Parameter| NamedArray {
        name: p.name.clone(),
        shape: p.value.shape().to_vec(),
        data: p.value.data().iter().map(|x| scale(&p.name) * x).collect(),
    };
    let config = EncoderConfig::Small(vec![4, 6]);
    let part = |seed| {
        let encoder = Encoder::new(config.network(), seed, &device);
        EncoderPart::new(config.clone(), published_preprocessing(&config), &encoder)
    };
    Checkpoint {
        words: WORDS.map(String::from).to_vec(),
        word_counts: None,
        features: FeaturesInfo {
            name: "small".into(),
            dimension: 6,
        },
        dataset: "shapes".into(),
        params: serde_json::Map::new(),
        iteration: 0,
        epoch: 0.0,
        scores: BTreeMap::new(),
        weights: model.parameters().iter().map(array).collect(),
        encoder: encoder.map(part),
        training: None,
        decoder,
    }
}

fn save(folder: &Path, name: &str, checkpoint: &Checkpoint) -> PathBuf {
    let path = folder.join(name);
    checkpoint::save(checkpoint, &path).expect("saved");
    path
}

/// Noise of a size of its own, in one colour more than in the others.
fn picture(seed: u64) -> Picture {
    let mut random = Random::new(seed, 1);
    let (width, height) = (9 + seed as usize % 23, 7 + seed as usize % 31);
    let colour = seed as usize % 3;
    let byte = |i| (random.uniform() * if i % 3 == colour { 255.0 } else { 90.0 }) as u8;
    Picture {
        width,
        height,
        rgb: (0..3 * width * height).map(byte).collect(),
    }
}

fn png(picture: &Picture) -> Vec<u8> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let image = image::RgbImage::from_raw(width, height, picture.rgb.clone()).expect("bytes");
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .expect("encodes");
    bytes.into_inner()
}

fn same(a: &[Sentence], b: &[Sentence]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.text, b.text);
        assert!((a.log_prob - b.log_prob).abs() < 1e-4, "{a:?} and {b:?}");
    }
}

#[test]
fn a_caption_is_what_the_parts_say_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let stored = checkpoint(1, Some(2));
    let path = save(folder.path(), "m.safetensors", &stored);
    let device = Device::cpu(2);
    let captioner = Captioner::load(&path, &device).expect("a captioner");
    let options = Options {
        n_best: 2,
        ..Options::default()
    };

    let part = stored.encoder.as_ref().expect("an encoder");
    let encoder = part.build(&device).expect("an encoder").fold();
    let decoder = Decoder::from_parameters(stored.decoder.clone(), &device, |name| {
        let weight = stored.weight(name)?;
        Some(Tensor::stored(&device, &weight.shape, weight.data.clone()))
    });
    let decoder = decoder.expect("a decoder");
    let mut texts = Vec::new();
    for seed in 0..20 {
        let picture = picture(seed);
        let preprocessing = &part.about.preprocessing;
        let pixels = pixels_from_planes(&device, &preprocessing.apply(&picture), 16);
        let state = decoder.start(&encoder.encode(&pixels).pooled);
        let search = BeamOptions {
            n_best: 2,
            ..BeamOptions::new(3)
        };
        let want = beam(&decoder, &state, 1, &search).expect("captions");
        let got = captioner.caption(&picture, &options).expect("captions");
        assert_eq!(got.len(), 2);
        for (got, want) in got.iter().zip(&want[0]) {
            let words: Vec<&str> = want.tokens.iter().map(|&t| WORDS[t as usize]).collect();
            assert_eq!(got.words, words);
            assert_eq!(got.text, words.join(" "));
            assert_eq!((got.log_prob, got.finished), (want.log_prob, want.finished));
            assert_eq!(got.word_log_probs, want.word_log_probs);
            assert_eq!(got.attention, None);
        }
        texts.push(got[0].text.clone());
        // The same picture as a file, and as its bytes.
        let bytes = png(&picture);
        let file = folder.path().join("p.png");
        std::fs::write(&file, &bytes).expect("written");
        assert_eq!(captioner.caption(&bytes, &options).expect("captions"), got);
        assert_eq!(captioner.caption(&file, &options).expect("captions"), got);
    }
    texts.sort();
    texts.dedup();
    assert!(texts.len() > 2, "pictures matter: {texts:?}");
}

#[test]
fn every_picture_has_its_own_answer_at_any_place_and_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = save(folder.path(), "m.safetensors", &checkpoint(1, Some(2)));
    let count = 2 * BLOCK + 7;
    let mut files: Vec<Vec<u8>> = (0..count as u64).map(|seed| png(&picture(seed))).collect();
    let bad = |i: usize| i % 5 == 2 || (BLOCK..BLOCK + 4).contains(&i) || i == count - 1;
    for i in (0..count).filter(|&i| bad(i)) {
        let half = files[i].len() / 2;
        files[i].truncate([half, 0, 3][i % 3]);
    }
    let sources: Vec<Source<'_>> = files.iter().map(Source::from).collect();
    let options = Options::default();
    let mut runs = Vec::new();
    for threads in [1, 3] {
        let captioner = Captioner::load(&path, &Device::cpu(threads)).expect("a captioner");
        let all = captioner.caption_all(&sources, &options).expect("captions");
        assert_eq!(all.len(), count);
        for (i, answer) in all.iter().enumerate() {
            assert_eq!(answer.is_err(), bad(i), "{i}");
            if let Ok(captions) = answer {
                same(
                    captions,
                    &captioner.caption(&files[i], &options).expect("captions"),
                );
            }
        }
        runs.push(all.into_iter().flatten().collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
    // A block of nothing but bad ones.
    let captioner = Captioner::load(&path, &Device::cpu(2)).expect("a captioner");
    let none = vec![Source::Bytes(b"x"); BLOCK + 1];
    let all = captioner.caption_all(&none, &options).expect("answers");
    assert!(all.len() == BLOCK + 1 && all.iter().all(Result::is_err));
    assert_eq!(
        captioner.caption_all(&[], &options).expect("answers").len(),
        0
    );
    // Pixels that are not there.
    let torn = Picture {
        width: 4,
        height: usize::MAX,
        rgb: vec![0; 12],
    };
    let error = captioner.caption(&torn, &options).expect_err("no picture");
    assert!(
        matches!(error, CaptionError::Picture(PictureError::Malformed(_))),
        "{error}"
    );
}

#[test]
fn answers_come_in_order_and_can_be_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = save(folder.path(), "m.safetensors", &checkpoint(1, Some(2)));
    let captioner = Captioner::load(&path, &Device::cpu(2)).expect("a captioner");
    let pictures: Vec<Picture> = (0..3 * BLOCK as u64).map(picture).collect();
    let sources: Vec<Source<'_>> = pictures.iter().map(Source::from).collect();
    let mut heard = Vec::new();
    let stopped = captioner.caption_each(&sources, &Options::default(), |place, _| {
        heard.push(place);
        match place < BLOCK + 3 {
            true => Ok(()),
            false => Err(CaptionError::NoCheckpoint),
        }
    });
    assert!(matches!(stopped, Err(CaptionError::NoCheckpoint)));
    assert_eq!(heard, (0..BLOCK + 4).collect::<Vec<_>>());
}

#[test]
fn a_picture_draws_the_same_captions_alone_and_among_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = save(folder.path(), "m.safetensors", &checkpoint(1, Some(2)));
    let captioner = Captioner::load(&path, &Device::cpu(2)).expect("a captioner");
    let options = |seed| Options {
        n_best: 4,
        sampling: Some(Sampling {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            seed,
        }),
        ..Options::default()
    };
    let pictures: Vec<Picture> = (0..5).map(picture).collect();
    let sources: Vec<Source<'_>> = pictures.iter().map(Source::from).collect();
    let all = captioner
        .caption_all(&sources, &options(3))
        .expect("captions");
    for (picture, together) in pictures.iter().zip(all) {
        let together = together.expect("captions");
        same(
            &captioner.caption(picture, &options(3)).expect("captions"),
            &together,
        );
        let other = captioner.caption(picture, &options(4)).expect("captions");
        assert_ne!(other, together, "the seed matters");
    }
}

#[test]
fn an_ensemble_averages_probabilities() {
    let folder = tempfile::tempdir().expect("a folder");
    // The first two share an encoder, the third has its own.
    let paths: Vec<PathBuf> = [(1, 2), (5, 2), (9, 7)]
        .into_iter()
        .map(|(seed, encoder)| {
            let name = format!("{seed}.safetensors");
            save(folder.path(), &name, &checkpoint(seed, Some(encoder)))
        })
        .collect();
    let device = Device::cpu(2);
    let load = |paths: &[PathBuf]| Captioner::load_all(paths, None, &device).expect("a captioner");
    let options = Options {
        beam_size: 1,
        ..Options::default()
    };
    let alone: Vec<Captioner> = paths
        .iter()
        .map(|p| load(std::slice::from_ref(p)))
        .collect();
    let together = load(&paths);
    let twice = load(&[paths[0].clone(), paths[0].clone()]);
    let mut differ = 0;
    for seed in 0..10 {
        let picture = picture(seed);
        let one = alone[0].caption(&picture, &options).expect("captions");
        same(&twice.caption(&picture, &options).expect("captions"), &one);
        let found = together.caption(&picture, &options).expect("captions");
        differ += usize::from(found[0].text != one[0].text);
        // The first word's probability is the mean of the three members' for it.
        let first = WORDS.iter().position(|w| *w == found[0].words[0]);
        let forbid = WORDS.iter().enumerate().skip(1);
        let only: Vec<String> = forbid
            .filter(|&(i, _)| Some(i) != first)
            .map(|(_, w)| (*w).to_owned())
            .collect();
        let forced = Options {
            forbid: only,
            min_words: 1,
            ..options.clone()
        };
        let mean: f64 = alone
            .iter()
            .map(|member| {
                let found = member.caption(&picture, &forced).expect("captions");
                f64::from(found[0].word_log_probs[0]).exp() / 3.0
            })
            .sum();
        let got = f64::from(found[0].word_log_probs[0]);
        assert!((got - mean.ln()).abs() < 1e-5, "{got} and {}", mean.ln());
    }
    assert!(differ > 0, "the other members are heard");
}

#[test]
fn models_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let device = Device::cpu(1);
    let with = save(folder, "with.safetensors", &checkpoint(1, Some(2)));
    let without = save(folder, "without.safetensors", &checkpoint(1, None));
    let mut other = checkpoint(1, Some(2));
    other.words[3] = "green".into();
    let other = save(folder, "other.safetensors", &other);
    let text = |result: Result<Captioner, CaptionError>| match result {
        Ok(_) => panic!("it fits"),
        Err(error) => (error.to_string(), error.hint().is_some()),
    };
    let (said, hint) = text(Captioner::load(&without, &device));
    assert!(
        said.ends_with(
            "without.safetensors` holds no encoder: it was trained on features (`small`)"
        ),
        "{said}"
    );
    assert!(hint);
    let (said, hint) = text(Captioner::load_all(&[&with, &other], None, &device));
    assert!(
        said.ends_with("word 3 is `blue` in the first and `green` in the second") && hint,
        "{said}"
    );
    assert!(matches!(
        Captioner::load_all(&[] as &[&Path], None, &device),
        Err(CaptionError::NoCheckpoint)
    ));

    // An encoder from a weight file serves those that hold none, and must fit.
    let weights = |filters: Vec<usize>, name: &str| {
        let config = EncoderConfig::Small(filters);
        let state = Encoder::<f32>::new(config.network(), 2, &device).state();
        let buffers: Vec<(String, Vec<usize>, Vec<u8>)> = state
            .iter()
            .map(|(name, shape, values)| {
                let bytes = values
                    .singles()
                    .iter()
                    .flat_map(|x| x.to_le_bytes())
                    .collect();
                (name.to_owned(), shape.to_vec(), bytes)
            })
            .collect();
        let views = buffers.iter().map(|(name, shape, bytes)| {
            let kind = safetensors::Dtype::F32;
            let view = safetensors::tensor::TensorView::new(kind, shape.clone(), bytes);
            (name.as_str(), view.expect("a view"))
        });
        let path = folder.join(name);
        let file = safetensors::tensor::serialize(views, None).expect("a file");
        std::fs::write(&path, file).expect("written");
        path
    };
    let fits = weights(vec![4, 6], "fits.safetensors");
    let wide = weights(vec![4, 8], "wide.safetensors");
    let named = Captioner::load_all(&[&without], Some(&fits), &device).expect("a captioner");
    let inside = Captioner::load(&with, &device).expect("a captioner");
    let options = Options::default();
    let picture = picture(3);
    assert_eq!(
        named.caption(&picture, &options).expect("captions"),
        inside.caption(&picture, &options).expect("captions")
    );
    let (said, hint) = text(Captioner::load_all(&[&without], Some(&wide), &device));
    assert!(
        said.contains("wide.safetensors` gives 8 numbers a picture") && said.ends_with("needs 6"),
        "{said}"
    );
    assert!(hint);
    // Options that can't be are refused before a picture is read.
    let impossible = Options {
        n_best: 4,
        ..Options::default()
    };
    assert!(matches!(
        inside.caption_all(&[], &impossible),
        Err(CaptionError::Generate(_))
    ));
}

#[test]
fn a_captioner_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Captioner>();
}

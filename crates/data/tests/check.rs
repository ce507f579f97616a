//! A dataset with one of everything that can be wrong, and the whole report as a literal.

use std::path::Path;

use data::check::{CheckOptions, Severity, check, check_watched};
use data::{Caption, Dataset, Features, ImageRecord, Split};

fn image(imgid: u32, path: &str, split: Split, captions: &[(u32, &str)]) -> ImageRecord {
    let caption = |&(sentid, raw): &(u32, &str)| Caption {
        sentid,
        raw: raw.to_owned(),
        tokens: raw.split_whitespace().map(str::to_owned).collect(),
    };
    ImageRecord {
        imgid,
        path: path.to_owned(),
        split,
        captions: captions.iter().map(caption).collect(),
    }
}

/// The smallest PNG header there is: signature and IHDR of 3 x 2 pixels.
fn write_png(path: &Path) {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend([0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0]);
    std::fs::write(path, bytes).expect("a temporary file");
}

fn everything_wrong() -> Dataset {
    Dataset {
        name: "wrong".into(),
        images: vec![
            image(
                0,
                "ok.png",
                Split::Train,
                &[(0, "a dog runs"), (1, "a dog"), (2, "")],
            ),
            image(1, "missing.png", Split::Train, &[(3, "a cat")]),
            image(1, "text.png", Split::Train, &[(3, "a dog")]),
            image(3, "../secret.png", Split::Restval, &[(5, "a dog")]),
            image(2, "ok.png", Split::Test, &[]),
            image(9, "sub/ok.png", Split::Test, &[(7, "a dog")]),
        ],
    }
}

#[test]
fn every_problem_is_listed_in_one_pass() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_png(&folder.path().join("ok.png"));
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    write_png(&folder.path().join("sub/ok.png"));
    std::fs::write(
        folder.path().join("text.png"),
        "no picture at all, but long enough",
    )
    .expect("a file");
    let rows = vec![1.0, 2.0, f32::NAN, 1.0, 0.0, 0.0, 1.0, f32::INFINITY];
    let features = Features::from_rows("other.mat", 2, rows);
    let options = CheckOptions {
        picture_folder: Some(folder.path().to_owned()),
        expected_dimension: Some(4096),
        word_count_threshold: 2,
        headers_only: true,
        ..CheckOptions::default()
    };
    let report = check(&everything_wrong(), Some(&features), &options);
    let lines: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "error: no sentence in split val",
            "error: the features have 2 numbers each, expected 4096",
            "warning: `ok.png` (imgid 0): sentence 2 has no words",
            "error: `missing.png` (imgid 1): feature 0 is NaN",
            "warning: `missing.png` (imgid 1): the picture is not there",
            "error: `text.png` (imgid 1): same imgid as `missing.png`",
            "warning: `text.png` (imgid 1): sentid 3 is also a sentence of `missing.png`",
            "error: `text.png` (imgid 1): feature 0 is NaN",
            "warning: `text.png` (imgid 1): no readable picture: Could not decode image",
            "error: `../secret.png` (imgid 3): feature 1 is inf",
            "warning: `../secret.png` (imgid 3): the path leads out of the picture folder",
            "warning: `ok.png` (imgid 2): same file as imgid 0",
            "warning: `ok.png` (imgid 2): no sentences",
            "warning: `ok.png` (imgid 2): all features are zero",
            "error: `sub/ok.png` (imgid 9): no feature vector: the file holds 4, from 0",
        ]
    );
    assert!(!report.trainable);
    assert_eq!(
        (
            report.count(Severity::Error),
            report.count(Severity::Warning)
        ),
        (7, 8)
    );
    let summary = serde_json::to_string(&report.summary).expect("JSON");
    let path = serde_json::to_string(folder.path()).expect("JSON");
    assert_eq!(
        summary.replace(&path, "FOLDER"),
        r#"{"name":"wrong","splits":[{"split":"train","images":3,"sentences":5},{"split":"test","images":2,"sentences":1},{"split":"restval","images":1,"sentences":1}],"words":9,"word_count_threshold":2,"vocabulary":3,"lengths":{"min":0,"median":2,"percentile_95":3,"max":3,"mean":1.8},"features":{"name":"other.mat","dimension":2,"count":4},"pictures":{"folder":FOLDER,"readable":3,"count":6}}"#
    );
    let first = serde_json::to_string(&report.problems[0]).expect("JSON");
    assert_eq!(
        first,
        r#"{"severity":"error","problem":"empty-split","split":"val","image":null,"imgid":null}"#
    );
}

#[test]
fn a_good_dataset_has_no_problems_and_is_trainable() {
    let sentences = [(0, "a dog runs"), (1, "a dog")];
    let other = [(2, "a dog runs")];
    let last = [(3, "a dog")];
    let dataset = Dataset {
        name: "good".into(),
        images: vec![
            image(0, "a.jpg", Split::Train, &sentences),
            image(1, "b.jpg", Split::Val, &other),
            image(2, "c.jpg", Split::Test, &last),
        ],
    };
    let features = Features::from_rows("f", 1, vec![1.0, 2.0, 3.0]);
    let options = CheckOptions {
        word_count_threshold: 1,
        expected_dimension: Some(1),
        ..CheckOptions::default()
    };
    let report = check(&dataset, Some(&features), &options);
    assert_eq!((report.trainable, report.problems), (true, vec![]));
    assert_eq!(report.summary.vocabulary, 4);
}

#[test]
fn without_features_a_missing_picture_stops_training_and_a_rare_word_is_no_vocabulary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dataset = Dataset {
        name: "d".into(),
        images: vec![image(0, "a.jpg", Split::Restval, &[(0, "a dog")])],
    };
    let options = CheckOptions {
        picture_folder: Some(folder.path().to_owned()),
        restval_as_train: true,
        ..CheckOptions::default()
    };
    let report = check(&dataset, None, &options);
    let lines: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "error: no word occurs 5 times in the training sentences",
            "error: no sentence in split val",
            "warning: no sentence in split test",
            "error: `a.jpg` (imgid 0): the picture is not there",
        ]
    );
}

#[test]
fn features_of_another_dataset_are_noticed() {
    let dataset = everything_wrong();
    let features = Features::from_rows("f", 1, vec![1.0; 7]);
    let report = check(&dataset, Some(&features), &CheckOptions::default());
    let lines: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    let want = "warning: 7 feature vectors for 6 pictures, whose imgids need 10: is it another dataset's file?";
    assert!(lines.iter().any(|line| line == want), "{lines:?}");
    // Beyond the largest imgid, 9, training refuses them, unless it is told that it may.
    for (vectors, allowed, want) in [
        (10, false, "warning: 10 feature"),
        (11, false, "error: 11 feature"),
        (11, true, "warning: 11 feature"),
    ] {
        let features = Features::from_rows("f", 1, vec![1.0; vectors]);
        let options = CheckOptions {
            allow_extra_features: allowed,
            ..CheckOptions::default()
        };
        let report = check(&dataset, Some(&features), &options);
        let mut lines = report.problems.iter().map(ToString::to_string);
        assert!(lines.any(|line| line.starts_with(want)), "{want}");
    }
}

#[test]
fn pictures_that_are_cut_off_are_found_unless_only_headers_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 99]));
    for name in ["whole.png", "cut.png", "whole.jpg", "cut.jpg"] {
        let path = folder.path().join(name);
        picture.save(&path).expect("a file");
        if name.starts_with("cut") {
            let bytes = std::fs::read(&path).expect("just written");
            std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
        }
    }
    std::fs::write(folder.path().join("tiny.jpg"), b"0123456789").expect("a file");
    let names = ["whole.png", "cut.png", "whole.jpg", "cut.jpg", "tiny.jpg"];
    let images = names.iter().zip(0..).map(|(name, n)| {
        let words = [(n, "a dog")];
        image(n, name, Split::Train, &words)
    });
    let dataset = Dataset {
        name: "d".into(),
        images: images.collect(),
    };
    let problems = |headers_only| {
        let options = CheckOptions {
            picture_folder: Some(folder.path().to_owned()),
            headers_only,
            ..CheckOptions::default()
        };
        let looked_at = std::sync::atomic::AtomicUsize::new(0);
        let done = || {
            looked_at.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        let report = check_watched(&dataset, &[], None, &options, &done);
        assert_eq!(looked_at.into_inner(), 5);
        let readable = report.summary.pictures.expect("a folder").readable;
        let lines = report.problems.iter().map(ToString::to_string);
        let lines = lines.filter(|line| line.contains("no readable picture"));
        (readable, lines.collect::<Vec<_>>())
    };
    let (readable, lines) = problems(false);
    assert_eq!(readable, 2, "{lines:?}");
    assert!(lines[0].starts_with("error: `cut.png`") && lines[0].contains("cut off after"));
    assert!(lines[1].starts_with("error: `cut.jpg`") && lines[1].contains("cut off after"));
    assert!(
        lines[2].contains("not a picture: its 10 bytes"),
        "{lines:?}"
    );
    let (readable, lines) = problems(true);
    assert_eq!(readable, 4, "{lines:?}");
    assert!(lines[0].contains("`tiny.jpg`") && lines[0].contains("ends within its header"));
}

#[test]
fn records_that_cannot_be_read_are_listed_and_the_others_checked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("dataset.json");
    let record = |imgid: i64, split: &str, sentid: &str| {
        format!(
            r#"{{"filename": "{imgid}.jpg", "imgid": {imgid}, "split": "{split}",
                "sentences": [{{"tokens": ["a", "dog"]{sentid}}}]}}"#
        )
    };
    let sentid = |n| format!(r#", "sentid": {n}"#);
    let records = [
        record(0, "train", &sentid(0)),
        record(1, "weird", &sentid(1)),
        record(-1, "val", &sentid(2)),
        record(3, "val", ""),
        record(4, "val", &sentid(4)),
    ];
    let text = format!(r#"{{"images": [{}]}}"#, records.join(","));
    std::fs::write(&file, text).expect("a file");
    assert!(Dataset::open(&file).is_err());
    for place in [&file, folder.path()] as [&Path; 2] {
        let (dataset, refused) = Dataset::open_each(place).expect("some are good");
        let kept: Vec<u32> = dataset.images.iter().map(|image| image.imgid).collect();
        assert_eq!(kept, [0, 4]);
        let report = check_watched(&dataset, &refused, None, &CheckOptions::default(), &|| ());
        let lines: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        assert!(!report.trainable);
        assert!(
            lines[1].starts_with("error: images[1]: `weird` is no split"),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("error: images[2]: invalid value: integer `-1`"),
            "{lines:?}"
        );
        assert_eq!(lines[3], "error: images[3]: missing field `sentid`");
    }
    // What is wrong as a whole stays an error.
    std::fs::write(&file, r#"{"images": [{"filename""#).expect("a file");
    assert!(Dataset::open_each(&file).is_err());
    std::fs::write(&file, r#"{"pictures": []}"#).expect("a file");
    assert!(Dataset::open_each(&file).is_err());
}

//! Every form of dataset, written by hand, reads to the same pictures and sentences.

use std::path::{Path, PathBuf};

use data::{Dataset, Split, SplitRule, Vocabulary, tokenize};

fn shared(part: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("NEURALTALK_SHARED") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let path = root.join(part);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: `{}` is not there", path.display());
    None
}

/// A folder with the given files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    folder
}

/// One line a picture: number, path, split, and its sentences' words.
fn lines(dataset: &Dataset) -> Vec<String> {
    let line = |image: &data::ImageRecord| {
        let words: Vec<String> = image.captions.iter().map(|c| c.tokens.join(" ")).collect();
        format!(
            "{} {} {} [{}]",
            image.imgid,
            image.path,
            image.split,
            words.join("|")
        )
    };
    dataset.images.iter().map(line).collect()
}

const WANT: [&str; 3] = [
    "0 a.jpg train [a dog runs|two dogs]",
    "1 b.jpg val [the t shirt isnt red]",
    "2 c.jpg test [a cat]",
];

fn expect(files: &[(&str, &str)], open: &str) {
    let folder = folder(files);
    let dataset = Dataset::open(folder.path().join(open)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(lines(&dataset), WANT, "{files:?}");
    let sentids: Vec<u32> = dataset
        .images
        .iter()
        .flat_map(|i| i.captions.iter().map(|c| c.sentid))
        .collect();
    assert_eq!(sentids.len(), 4);
    let distinct: std::collections::HashSet<_> = sentids.iter().collect();
    assert_eq!(distinct.len(), 4, "{sentids:?}");
}

#[test]
fn neuraltalk2_list() {
    let text = r#"[{"file_path": "a.jpg", "captions": ["A dog runs.", "Two dogs!"], "id": 1001, "split": "train"},
        {"file_path": "b.jpg", "captions": ["The T-shirt isn't red"], "split": "val"},
        {"file_path": "c.jpg", "captions": ["\u0061 cat"], "split": "test", "extra": {"deep": [1]}}]"#;
    expect(&[("raw.json", text)], "");
    expect(&[("dataset.json", text), ("other.json", "{}")], "");
}

#[test]
fn coco_annotations() {
    let file = |images: &str, annotations: &str| {
        format!(
            r#"{{"info": {{"year": 2017}}, "images": [{images}], "annotations": [{annotations}], "licenses": []}}"#
        )
    };
    let train = file(
        r#"{"id": 7, "file_name": "a.jpg", "height": 480}"#,
        r#"{"image_id": 7, "id": 1, "caption": "A dog runs."}, {"image_id": 7, "id": 2, "caption": "Two dogs"}"#,
    );
    let val = file(
        r#"{"id": 9, "file_name": "b.jpg"}"#,
        r#"{"image_id": 9, "id": 3, "caption": "The T-shirt isn't red"}"#,
    );
    let test = file(
        r#"{"id": 8, "file_name": "c.jpg"}"#,
        r#"{"image_id": 8, "id": 4, "caption": "A cat"}"#,
    );
    // By name the files come in the order test, train, val; pictures are numbered in that order.
    let files = [
        ("annotations/captions_train2017.json", train.as_str()),
        ("annotations/captions_val2017.json", val.as_str()),
        ("annotations/captions_test2017.json", test.as_str()),
        ("annotations/instances_val2017.json", "not read"),
    ];
    let folder = folder(&files);
    let dataset = Dataset::open(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        lines(&dataset),
        [
            "0 c.jpg test [a cat]",
            "1 a.jpg train [a dog runs|two dogs]",
            "2 b.jpg val [the t shirt isnt red]",
        ]
    );
}

#[test]
fn flickr_tokens_with_split_lists() {
    let tokens = "a.jpg#0\tA dog runs .\na.jpg#1\tTwo dogs\nb.jpg#0\tThe T-shirt isn't red\n\n\
        broken.jpg.1#0\tin no list\nc.jpg#0\tA cat\r\n";
    let files = [
        ("Flickr8k.token.txt", tokens),
        ("Flickr8k.lemma.token.txt", "not read"),
        ("Flickr_8k.trainImages.txt", "a.jpg\n"),
        ("Flickr_8k.devImages.txt", "b.jpg\n"),
        ("Flickr_8k.testImages.txt", "c.jpg"),
        ("latest.txt", "broken.jpg.1\n"),
        ("readme.txt", "words"),
    ];
    expect(&files, "");
    expect(&files, "Flickr8k.token.txt");
}

#[test]
fn a_listed_picture_without_sentences_stays() {
    let files = [
        ("x.token", "a.jpg#0\tA dog\n"),
        ("train.txt", "a.jpg\nz.jpg\n"),
    ];
    let folder = folder(&files);
    let dataset = Dataset::open(folder.path()).expect("a dataset");
    assert_eq!(
        lines(&dataset),
        ["0 a.jpg train [a dog]", "1 z.jpg train []"]
    );
}

#[test]
fn csv_in_any_order_of_lines_and_columns() {
    let text = "\u{FEFF}Split,Caption,note,Image_Name\ntrain,A dog runs.,x,a.jpg\nval,\"The T-shirt\nisn't red\",,b.jpg\n\
        test,A cat,,c.jpg\n,Two dogs,,a.jpg\n";
    expect(&[("my captions.csv", text)], "");
    expect(&[("captions.txt", text)], "");
}

#[test]
fn json_lines() {
    let text = "{\"image\": \"a.jpg\", \"caption\": \"A dog runs\", \"split\": \"train\"}\n\n\
        {\"image\": \"b.jpg\", \"caption\": \"The T-shirt isn't red\", \"split\": \"validation\", \"other\": 1}\r\n\
        {\"caption\": \"A cat\", \"image\": \"c.jpg\", \"split\": \"test\"}\n\
        {\"image\": \"a.jpg\", \"caption\": \"Two dogs\", \"split\": null}";
    expect(&[("captions.jsonl", text)], "");
}

#[test]
fn neuraltalk_form_with_all_its_fields() {
    let text = r#"{"dataset": "coco", "images": [
        {"filepath": "val2014", "filename": "x.jpg", "imgid": 5, "split": "restval", "cocoid": 391895, "sentids": [770],
         "sentences": [{"tokens": ["a", "caf\u00e9"], "raw": "A caf\u00e9.", "imgid": 5, "sentid": 770}]},
        {"filename": "y.jpg", "imgid": 4, "split": "test", "sentences": []}]}"#;
    let folder = folder(&[("dataset.json", text)]);
    let mut dataset = Dataset::open(folder.path()).expect("a dataset");
    assert_eq!(
        lines(&dataset),
        ["5 val2014/x.jpg restval [a café]", "4 y.jpg test []"]
    );
    assert_eq!(dataset.images[0].captions[0].raw, "A café.");
    assert_eq!(dataset.images[0].captions[0].sentid, 770);
    dataset.restval_as_train();
    assert_eq!(dataset.images[0].split, Split::Train);
    assert_eq!(dataset.images[1].split, Split::Test);
}

#[test]
fn the_name_is_the_folders() {
    let text = r#"{"images": []}"#;
    let folder = folder(&[("flickr8k/dataset.json", text), ("cats.json", text)]);
    let name = |path: &str| {
        Dataset::open(folder.path().join(path))
            .expect("a dataset")
            .name
    };
    assert_eq!(name("flickr8k"), "flickr8k");
    assert_eq!(name("flickr8k/"), "flickr8k");
    assert_eq!(name("flickr8k/dataset.json"), "flickr8k");
    assert_eq!(name("flickr8k/."), "flickr8k");
    assert_eq!(name("cats.json"), "cats");
}

#[test]
fn pictures_without_any_split_get_one_by_the_rule() {
    let rows: String = (0..50)
        .map(|n| format!("{n}.jpg,a dog\n"))
        .collect::<String>();
    let folder = folder(&[("c.csv", &format!("image,caption\n{rows}"))]);
    let by_hash = Dataset::open(folder.path()).expect("a dataset");
    for split in [Split::Train, Split::Val, Split::Test] {
        assert_ne!(by_hash.of_split(split).count(), 0, "{split}");
    }
    let all = Dataset::open_with(folder.path(), SplitRule::AllTrain).expect("a dataset");
    assert_eq!(all.of_split(Split::Train).count(), 50);
}

#[test]
fn where_some_pictures_have_a_split_the_others_are_for_training() {
    let folder = folder(&[(
        "c.csv",
        "image,caption,split\na.jpg,a dog,val\nb.jpg,a cat,\n",
    )]);
    let dataset = Dataset::open(folder.path()).expect("a dataset");
    assert_eq!(
        lines(&dataset),
        ["0 a.jpg val [a dog]", "1 b.jpg train [a cat]"]
    );
}

#[test]
fn two_candidates_are_not_guessed_between() {
    let folder = folder(&[("a.csv", "image,caption\n"), ("b.csv", "image,caption\n")]);
    let error = Dataset::open(folder.path()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("2 csv files (a.csv, b.csv), name the one that is meant"),
        "{text}"
    );
    assert!(!error.is_io());
    let error = Dataset::open(folder.path().join("none")).unwrap_err();
    assert!(error.is_io() && error.hint().is_some());
}

/// Golden: `json.load` and `collections.Counter` in Python over the same files.
#[test]
fn the_real_flickr8k_is_read_whole() {
    let Some(folder) = shared("data/flickr8k") else {
        return;
    };
    let dataset = Dataset::open(&folder).expect("the real dataset");
    assert_eq!(dataset.name, "flickr8k");
    let count = |split| {
        (
            dataset.of_split(split).count(),
            dataset.captions(split).count(),
        )
    };
    assert_eq!(count(Split::Train), (6000, 30000));
    assert_eq!(count(Split::Val), (1000, 5000));
    assert_eq!(count(Split::Test), (1000, 5000));
    let captions = dataset.captions(Split::Train).map(|(_, c)| &c.tokens);
    let vocabulary = Vocabulary::from_captions(captions, 5);

    assert_eq!(vocabulary.len(), 2536);
}

/// The rule of `tokenize` is that of the real file: the share of sentences it splits otherwise is small.
#[test]
fn the_rule_for_raw_text_agrees_with_real_tokens() {
    let Some(folder) = shared("data/flickr8k") else {
        return;
    };
    let dataset = Dataset::open(&folder).expect("the real dataset");
    let captions = || dataset.images.iter().flat_map(|i| &i.captions);
    let different: Vec<_> = captions()
        .filter(|c| tokenize(&c.raw) != c.tokens)
        .collect();
    for caption in different.iter().take(10) {
        println!("{:?}\n  {:?}", caption.raw, caption.tokens);
    }
    let share = different.len() as f64 / captions().count() as f64;
    println!("{} differ: {share:.5}", different.len());
    assert!(share < 0.01, "{share}");
}

/// Golden: entries of `bd` in NeuralTalk's own checkpoint `init_lstm`, which had only been initialised.
#[test]
fn the_first_bias_is_neuraltalks() {
    let Some(folder) = shared("oracle/data/flickr8k") else {
        return;
    };
    let dataset = Dataset::open(&folder).expect("the oracle's dataset");
    let captions = dataset.captions(Split::Train).map(|(_, c)| &c.tokens);
    let vocabulary = Vocabulary::from_captions(captions, 5);
    // 107 words, one of them a real '.', and END.
    assert_eq!(vocabulary.len(), 108);
    let bias = vocabulary.initial_bias().expect("counts are known");
    let golden = [
        ("sleeps", -3.21442147451882),
        ("over", -1.8852855272388784),
        (",", -1.1075809586508698),
        ("black", -2.4672070726885997),
        (".", -0.11332868530700324),
    ];
    for (word, want) in golden {
        let id = vocabulary.id(word).expect("a frequent word") as usize;
        assert!((bias[id] - want).abs() < 1e-12, "{word}: {}", bias[id]);
    }
    assert_eq!(bias[0], bias[vocabulary.id(".").expect("a word") as usize]);
}

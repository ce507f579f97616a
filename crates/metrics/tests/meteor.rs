//! METEOR from its files to scores, on a small distribution that these tests write themselves.
//!
//! Here: folders and jars, good and damaged; what each matcher adds; the limits of a METEOR for certain captions.
//! Not here: the original's data (`meteor_golden.rs`, `meteor_live.rs`).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use metrics::Corpus;
use metrics::meteor::{Loading, Meteor, MeteorError, SearchPlaces, find_installed};
use tempfile::TempDir;

const TEXTS: [(&str, &str); 4] = [
    ("function/english.words", "a\nthe\non\n"),
    (
        "nonbreaking/english.prefixes",
        "# abbreviations\nMr\nNo #NUMERIC_ONLY#\n",
    ),
    ("synonym/english.exceptions", "man\nmen\n"),
    (
        "synonym/english.synsets",
        "man\n1 2\nguy\n2\nhound\n3\ndog\n3 4\n",
    ),
];
const TABLE: &str = "0.5\nis running\nruns fast\n0.25\non the lawn\non grass\n0.1\nlawn\ngrass\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    fs::write(path, bytes).expect("file");
}

fn jar() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in TEXTS {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .expect("memory");
        zip.write_all(text.as_bytes()).expect("memory");
    }
    zip.finish().expect("memory").into_inner()
}

/// A folder as pycocoevalcap has it: the jar, and the table beside it.
fn packed() -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    write(folder.path(), "meteor-1.5.jar", &jar());
    write(
        folder.path(),
        "data/paraphrase-en.gz",
        &gzip(TABLE.as_bytes()),
    );
    folder
}

/// The same with the jar unpacked.
fn unpacked() -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for (name, text) in TEXTS {
        write(folder.path(), name, text.as_bytes());
    }
    write(
        folder.path(),
        "data/paraphrase-en.gz",
        &gzip(TABLE.as_bytes()),
    );
    folder
}

fn said(folder: &Path) -> String {
    let error = Meteor::open(Some(folder)).err().expect("damaged");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
    // Temporary folders have another name each time.
    let name = folder.to_str().expect("UTF-8");
    error.to_string().replace(name, "FOLDER").replace('\\', "/")
}

#[test]
fn each_matcher_adds_its_matches() {
    let folder = packed();
    for (data, name, line) in [
        (
            Some(folder.path()),
            "METEOR",
            // exact: the; stem: dogs/dog; synonym: guy/men; paraphrases: runs fast/is running, on grass/on the lawn.
            "7.0 8.0 2.0 3.0 0.0 0.0 1.0 1.0 1.0 1.0 0.0 0.0 1.0 1.0 0.0 0.0 3.0 3.0 1.0 2.0 1.0 7.0 8.0",
        ),
        (
            None,
            "METEOR (exact, stem)",
            // exact: the, on; stem: runs/running, dogs/dog; no function words.
            "7.0 8.0 0.0 0.0 2.0 2.0 0.0 0.0 2.0 2.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 3.0 4.0 4.0",
        ),
    ] {
        let meteor = Meteor::open(data).expect("data");
        assert_eq!(meteor.name(), name);
        let statistics = meteor.statistics(
            "the guy runs fast dogs on grass",
            &["zebra", "the men is running dog on the lawn"],
        );
        assert_eq!(statistics.to_string(), line, "{name}");
        assert_eq!(meteor.score(&statistics), statistics.score());
    }
}

#[test]
fn folder_and_jar_are_the_same() {
    let (packed, unpacked) = (packed(), unpacked());
    let jar = packed.path().join("meteor-1.5.jar");
    let lines = [packed.path(), unpacked.path(), &jar].map(|path| {
        let meteor = Meteor::open(Some(path)).expect("data");
        assert_eq!((meteor.name(), meteor.paraphrases()), ("METEOR", 3));
        meteor
            .statistics("Mr. Guy runs fast. No. 3", &["mr. men is running . no. 3"])
            .to_string()
    });
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[0], lines[2]);
}

#[test]
fn a_meteor_for_certain_captions_says_the_same_about_them() {
    let folder = packed();
    let captions = [
        "the guy runs fast dogs",
        "men ||| is running|||!",
        "",
        "dog on the lawn",
        "on grass",
    ];
    let all = Meteor::open(Some(folder.path())).expect("data");
    let few = Meteor::open_for(Some(folder.path()), captions).expect("data");
    assert_eq!(few.paraphrases(), 3);
    for candidate in captions {
        assert!(few.covers(candidate), "{candidate}");
        assert_eq!(
            few.statistics(candidate, &captions),
            all.statistics(candidate, &captions),
            "{candidate}"
        );
    }
    assert!(all.covers("any zebra"));
    for other in ["zebra", "fast runs", "the men"] {
        assert!(!few.covers(other), "{other}");
        let panic =
            std::panic::catch_unwind(|| few.statistics(other, &captions)).expect_err("uncovered");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(
            message.starts_with("METEOR was opened for other captions"),
            "{message}"
        );
    }
    let none = Meteor::open_for(None, captions).expect("no data");
    assert_eq!(none.name(), "METEOR (exact, stem)");
    assert!(none.covers("the guy") && !none.covers("zebra"));
}

/// Captions that the normaliser leaves alone take another way than those that it changes.
#[test]
fn a_corpus_has_the_counts_of_its_captions() {
    let folder = packed();
    let images: [(&str, &[&str]); 6] = [
        (
            "the guy runs fast",
            &["men is running on grass", "the guy 's dog"],
        ),
        ("on  the lawn ", &["on grass", "dog , on the lawn", ""]),
        ("", &["the guy", " "]),
        ("dog ||| runs fast", &["hound ||| is running", "x"]),
        ("Mr. No. 7 DOGS", &["dogs"]),
        ("runs", &[]),
    ];
    let mut corpus = Corpus::new();
    for (candidate, references) in images {
        corpus.push("image", candidate, references);
    }
    let start = || Loading::start(Some(folder.path())).expect("data");
    let few = start().finish_for_corpora([&corpus]).expect("data");
    let all = start().finish().expect("data");
    let (of_few, of_all) = (
        few.corpus_statistics(&corpus),
        all.corpus_statistics(&corpus),
    );
    for (image, (candidate, references)) in images.into_iter().enumerate() {
        let wanted = all.statistics(candidate, references);
        assert_eq!(few.statistics(candidate, references), wanted, "{candidate}");
        assert_eq!(of_few[image], wanted, "{candidate}");
        assert_eq!(of_all[image], wanted, "{candidate}");
    }
    // Paraphrases are among them.
    assert!(0 < of_all[0].matches[3].candidate_content);
    // Two blanks are one, also where nothing else tells that the words are a phrase.
    let mut blanks = Corpus::new();
    blanks.push("image", "runs  fast", &["is  running"]);
    let opened = start().finish_for_corpora([&blanks]).expect("data");
    let found = opened.corpus_statistics(&blanks);
    assert_eq!(found, all.corpus_statistics(&blanks));
    assert!(0 < found[0].matches[3].candidate_content);
    let mut other = Corpus::new();
    other.push("image", "fast runs", &["the guy"]);
    let panic = std::panic::catch_unwind(|| few.corpus_statistics(&other)).expect_err("uncovered");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(
        message.starts_with("METEOR was opened for other captions"),
        "{message}"
    );
}

/// pycocoevalcap takes `|||` out of candidates, and Java splits references there.
#[test]
fn bars_are_read_as_pycocoevalcap_reads_them() {
    let meteor = Meteor::open(None).expect("no data");
    let with = meteor.statistics("a|||b c|||", &["x ||| ab c", "y"]);
    assert_eq!(with, meteor.statistics("ab c", &["x", "ab c", "y"]));
    assert_eq!((with.candidate_matches(), with.chunks), (2, 1));
    assert_eq!(meteor.statistics("a", &[]), meteor.statistics("a", &[""]));
    assert_eq!(meteor.statistics("a", &[]).candidate_length, 1);
}

#[test]
fn the_first_of_equal_references_counts() {
    let meteor = Meteor::open(None).expect("no data");
    let statistics = meteor.statistics("a b", &["x y z", "a c", "b d", "a c e"]);
    assert_eq!((statistics.reference_length, statistics.chunks), (2, 1));
    assert_eq!(
        meteor.statistics("q", &["x y z", "a c"]).reference_length,
        3
    );
}

#[test]
fn loading_may_start_before_the_captions_are_known() {
    let folder = packed();
    let loading = Loading::start(Some(folder.path())).expect("data");
    let meteor = loading.finish_for(["lawn", "grass"]).expect("data");
    assert_eq!(
        (
            meteor.paraphrases(),
            meteor.statistics("lawn", &["grass"]).candidate_matches()
        ),
        (1, 1)
    );
    drop(Loading::start(Some(folder.path())).expect("data"));
    assert_eq!(
        Loading::start(None)
            .expect("nothing")
            .finish()
            .expect("nothing")
            .paraphrases(),
        0
    );
}

#[test]
fn missing_files_are_named() {
    let folder = packed();
    fs::remove_file(folder.path().join("data/paraphrase-en.gz")).expect("file");
    assert_eq!(
        said(folder.path()),
        "METEOR's data `FOLDER` has no `data/paraphrase-en.gz`"
    );
    fs::remove_file(folder.path().join("meteor-1.5.jar")).expect("file");
    assert_eq!(
        said(folder.path()),
        "METEOR's data `FOLDER` has no `meteor-1.5.jar`"
    );
    let nowhere = folder.path().join("nowhere");
    assert!(
        said(&nowhere).starts_with("cannot read METEOR's data `FOLDER`: "),
        "{}",
        said(&nowhere)
    );

    // There, but not to be read: a file where a folder should be.
    let unreadable = unpacked();
    let prefixes = unreadable.path().join("nonbreaking");
    fs::remove_dir_all(&prefixes).expect("folder");
    fs::write(&prefixes, "").expect("file");
    let error = Meteor::open(Some(unreadable.path())).err();
    assert!(matches!(error, Some(MeteorError::Read { .. })), "{error:?}");

    for (name, _) in &TEXTS[1..] {
        let folder = unpacked();
        fs::remove_file(folder.path().join(name)).expect("file");
        assert_eq!(
            said(folder.path()),
            format!("METEOR's data `FOLDER` has no `{name}`")
        );
    }
}

#[test]
fn damaged_jars_are_refused() {
    let folder = packed();
    let whole = jar();
    for length in 0..whole.len() {
        write(folder.path(), "meteor-1.5.jar", &whole[..length]);
        let error = Meteor::open(Some(folder.path())).err().expect("cut off");
        assert!(
            matches!(error, MeteorError::Archive { .. }),
            "prefix {length}: {error}"
        );
    }
    // Any changed byte is an error or changes nothing that is read; it must not panic.
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        write(folder.path(), "meteor-1.5.jar", &bytes);
        drop(Meteor::open(Some(folder.path())));
    }
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(TEXTS[0].0, zip::write::SimpleFileOptions::default())
        .expect("memory");
    write(
        folder.path(),
        "meteor-1.5.jar",
        &zip.finish().expect("memory").into_inner(),
    );
    assert_eq!(
        said(folder.path()),
        "METEOR's data `FOLDER/meteor-1.5.jar` has no `nonbreaking/english.prefixes`"
    );
}

#[test]
fn damaged_texts_are_refused() {
    let folder = unpacked();
    write(folder.path(), "function/english.words", b"a\n\xff\n");
    assert_eq!(
        said(folder.path()),
        "`FOLDER/function/english.words` is not UTF-8 text: byte 2 is 0xff"
    );
    let folder = unpacked();
    write(folder.path(), "synonym/english.synsets", b"man\nx\n");
    assert_eq!(
        said(folder.path()),
        "`FOLDER/synonym/english.synsets` line 2: expected numbers of synonym sets, found `x`"
    );
    let folder = unpacked();
    write(folder.path(), "data/paraphrase-en.gz", &gzip(b"0.5\na\n"));
    assert_eq!(
        said(folder.path()),
        "`FOLDER/data/paraphrase-en.gz` line 3: expected a phrase, found the end of the file"
    );
    let folder = unpacked();
    write(
        folder.path(),
        "function/english.words",
        &vec![b'a'; (64 << 20) + 1],
    );
    assert_eq!(
        said(folder.path()),
        "`FOLDER/function/english.words` unpacks to more than 67108864 bytes"
    );
}

#[test]
fn an_installed_meteor_is_found() {
    let root = tempfile::tempdir().expect("folder");
    let place = |prefix: &str| -> PathBuf {
        let folder = root.path().join(prefix).join("pycocoevalcap/meteor");
        write(&folder, "meteor-1.5.jar", b"");
        write(&folder, "data/paraphrase-en.gz", b"");
        folder
    };
    let in_environment = place("venv/lib/python3.11/site-packages");
    let on_path = place("usr/local/lib/python3.12/dist-packages");
    write(root.path(), "usr/bin/python3", b"");
    // No table there: not taken.
    write(
        root.path(),
        "half/lib/python3.9/site-packages/pycocoevalcap/meteor/meteor-1.5.jar",
        b"",
    );
    let [venv, half, bin, empty] =
        ["venv", "half", "usr/bin", "venv/lib"].map(|p| root.path().join(p));
    let path = std::env::join_paths([&empty, &bin]).expect("a path");
    let places = SearchPlaces {
        meteor_data: None,
        virtual_env: Some(venv.as_os_str()),
        path: Some(&path),
    };
    assert_eq!(find_installed(places), Some(in_environment));
    let places = SearchPlaces {
        virtual_env: Some(half.as_os_str()),
        ..places
    };
    assert_eq!(find_installed(places), Some(on_path));
    let places = SearchPlaces {
        meteor_data: Some(half.as_os_str()),
        ..places
    };
    assert_eq!(find_installed(places), Some(half.clone()));
    let gone = root.path().join("gone");
    let places = SearchPlaces {
        meteor_data: Some(gone.as_os_str()),
        virtual_env: None,
        path: Some("".as_ref()),
    };
    assert_eq!(find_installed(places), None);
    assert_eq!(find_installed(SearchPlaces::default()), None);
}

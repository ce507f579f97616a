//! Caption files: every format, every problem, every malformed example.

use std::fs;
use std::path::{Path, PathBuf};

use metrics::Corpus;
use metrics::input::{
    Captions, InputError, ParseError, Problem, Tokenization, pair, parse_annotations,
    parse_candidates, parse_json_lines, parse_references, parse_result_struct, parse_results,
    read_candidates, read_references, reference_paths,
};
use proptest::prelude::*;

const RESULTS: &str = r#"[{"image_id": 42, "caption": "A dog.", "id": 1}, {"image_id": "x", "caption": "two\ncats"}]"#;
const ANNOTATIONS: &str = r#"{"info": {}, "images": [{"id": 42}, {"id": "x"}, {"id": 9}],
  "annotations": [{"image_id": "x", "caption": "cats"}, {"image_id": 42, "caption": "a dog", "id": 7}, {"image_id": 42, "caption": "dogs"}]}"#;
const RESULT_STRUCT: &str = r#"{"params": {"beam_size": 1}, "checkpoint_params": {}, "imgblobs": [
  {"img_path": "a.jpg", "imgid": 42, "references": [{"text": "a dog"}], "candidate": {"text": "dog", "logprob": -1.5}},
  {"img_path": "b.jpg", "candidate": {"text": "cat", "logprob": -2}}, {"img_path": "c.jpg"}], "gtppl": 12.5}"#;
const LINES: &str = "{\"image_id\": 42, \"caption\": \"a dog\"}\n\n{\"image\": \"x\", \"captions\": [\"cats\", \"a cat\"]}\r\n{\"id\": 42, \"references\": [\"dogs\"], \"caption\": \"first\"}";

fn list(captions: &Captions) -> Vec<(&str, Vec<&str>)> {
    captions
        .iter()
        .map(|(id, captions)| (id, captions.iter().map(String::as_str).collect()))
        .collect()
}

#[test]
fn coco_results_and_annotations() {
    let results = parse_results(RESULTS.as_bytes()).expect("results");
    assert_eq!(
        list(&results),
        [("42", vec!["A dog."]), ("x", vec!["two\ncats"])]
    );
    let annotations = parse_annotations(ANNOTATIONS.as_bytes()).expect("annotations");
    assert_eq!(
        list(&annotations),
        [
            ("42", vec!["a dog", "dogs"]),
            ("x", vec!["cats"]),
            ("9", vec![])
        ]
    );
    assert_eq!(
        (
            annotations.len(),
            annotations.is_empty(),
            Captions::default().is_empty()
        ),
        (3, false, true)
    );
    assert_eq!(annotations.get("x"), Some(&["cats".to_owned()][..]));
    assert_eq!(annotations.get("y"), None);
}

#[test]
fn json_lines() {
    let lines = parse_json_lines(LINES.as_bytes()).expect("lines");
    assert_eq!(
        list(&lines),
        [
            ("42", vec!["a dog", "first", "dogs"]),
            ("x", vec!["cats", "a cat"])
        ]
    );
    assert_eq!(
        list(&parse_json_lines(b"{\"id\": -3, \"captions\": []}").expect("a line")),
        [("-3", vec![])]
    );
    // As `caption --json` writes them: the n-best list holds the caption again.
    let ranked = r#"{"file": "a.jpg", "caption": "best", "log_prob": -1, "captions": [{"caption": "best", "log_prob": -1}, {"caption": "next"}]}"#;
    assert_eq!(
        list(&parse_json_lines(ranked.as_bytes()).expect("a line")),
        [("a.jpg", vec!["best", "next"])]
    );
    let error = |text: &str| {
        parse_json_lines(text.as_bytes())
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        error("\n{\"id\": 1}"),
        "record 2: expected `caption`, `captions` or `references`, found neither"
    );
    assert_eq!(
        error("{\"caption\": \"a\"}"),
        "record 1: expected `image_id`, `image`, `id` or `file`, found neither"
    );
    assert!(
        error("{\"id\": 1, \"captions\": [3]}")
            .contains("expected a caption: text, or an object with text as `caption`")
    );
    assert!(
        error("{\"id\": 1, \"caption\": \"a\"}\n{\"id\": 1.5}").starts_with(
            "line 2, column 10: invalid type: floating point `1.5`, expected an image's id"
        )
    );
}

#[test]
fn result_structs() {
    let (candidates, references) =
        parse_result_struct(RESULT_STRUCT.as_bytes()).expect("result struct");
    assert_eq!(
        list(&candidates),
        [
            ("42", vec!["dog"]),
            ("b.jpg", vec!["cat"]),
            ("c.jpg", vec![])
        ]
    );
    assert_eq!(
        list(&references),
        [("42", vec!["a dog"]), ("b.jpg", vec![]), ("c.jpg", vec![])]
    );
    let error = |text: &str| {
        parse_result_struct(text.as_bytes())
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        error("{}"),
        "expected an object with the key `imgblobs`, found none"
    );
    assert_eq!(
        error("{\"imgblobs\": [{}]}"),
        "record 1: expected `imgid` or `img_path`, found neither"
    );
    assert!(error("{\n\"imgblobs\": 3}").ends_with("at line 2 column 13"));
}

#[test]
fn plain_text() {
    let candidates = parse_candidates(b"a dog\n\n two  cats \r\nlast").expect("text");
    assert_eq!(
        list(&candidates),
        [
            ("1", vec!["a dog"]),
            ("2", vec![""]),
            ("3", vec![" two  cats "]),
            ("4", vec!["last"])
        ]
    );
    let references = parse_references(&["a\nb\n", "c\n\n", "\nd\ne\n"]).expect("text");
    assert_eq!(
        list(&references),
        [
            ("1", vec!["a", "c"]),
            ("2", vec!["b", "d"]),
            ("3", vec!["e"])
        ]
    );
    let error = parse_references(&[&b"a\n"[..], b"b\nc\xff"]).expect_err("not UTF-8");
    assert!(
        matches!(
            error,
            ParseError::NotUtf8 {
                file: 1,
                line: 2,
                byte: 3
            }
        ),
        "{error}"
    );
    assert_eq!(error.to_string(), "line 2: not UTF-8, byte 3 of the file");
}

/// A folder with files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    files
        .iter()
        .for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).expect("written"));
    folder
}

#[test]
fn files_are_known_by_their_content() {
    let files: &[(&str, &[u8])] = &[
        ("results", RESULTS.as_bytes()),
        ("annotations", ANNOTATIONS.as_bytes()),
        ("struct", RESULT_STRUCT.as_bytes()),
        ("lines", LINES.as_bytes()),
        ("output", b"a dog\ncats\n"),
        ("reference0", b"a dog\nb\n"),
        ("reference1", b"dogs\n\n"),
        ("bad0", b"a\n"),
        ("bad1", b"a\n\xff"),
        ("one0", b"x\n"),
        ("one", b"y\n"),
    ];
    let folder = folder(files);
    let path = |name: &str| folder.path().join(name);
    let candidates = |name: &str| read_candidates(&path(name)).expect("candidates");
    let references = |name: &str| list(&read_references(&path(name)).expect("references")).len();
    assert_eq!(list(&candidates("results").0)[0], ("42", vec!["A dog."]));
    assert_eq!(list(&candidates("lines").0)[1].1.len(), 2);
    assert_eq!(
        list(&candidates("output").0),
        [("1", vec!["a dog"]), ("2", vec!["cats"])]
    );
    let (own, with) = candidates("struct");
    assert_eq!((own.len(), with.expect("references").len()), (3, 3));
    assert!(candidates("results").1.is_none());
    assert_eq!(
        [
            references("results"),
            references("annotations"),
            references("struct"),
            references("lines")
        ],
        [2, 3, 3, 2]
    );
    assert_eq!(
        list(&read_references(&path("reference")).expect("numbered")),
        [("1", vec!["a dog", "dogs"]), ("2", vec!["b"])]
    );
    assert_eq!(references("output"), 2);
    assert_eq!(
        reference_paths(&path("reference")),
        [path("reference0"), path("reference1")]
    );
    assert!(
        reference_paths(&path("one")).is_empty(),
        "the file itself comes first"
    );
    assert_eq!(
        list(&read_references(&path("one")).expect("one")),
        [("1", vec!["y"])]
    );

    let error = read_references(&path("bad")).expect_err("not UTF-8");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: line 2: not UTF-8, byte 2 of the file",
            path("bad1").display()
        )
    );
    assert_eq!(error.hint().expect("a hint"), "convert the file to UTF-8");
    let error = read_candidates(&path("none")).expect_err("missing");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot read {}: ", path("none").display()))
    );
    assert!(error.hint().expect("a hint").contains("reference0"));
    let error = read_candidates(folder.path()).expect_err("a folder");
    assert_eq!(error.hint(), None);
    // References of predictions alone: there are none.
    fs::write(
        path("struct"),
        r#"{"imgblobs": [{"img_path": "b.jpg", "candidate": {"text": "cat"}}]}"#,
    )
    .expect("written");
    assert!(candidates("struct").1.is_none());
}

#[test]
fn every_problem_is_listed_and_strict_refuses() {
    let mut candidates = Captions::default();
    let mut references = Captions::default();
    for (id, caption) in [
        ("good", "A dog runs."),
        ("unknown", "x"),
        ("twice", "one"),
        ("twice", "two"),
        ("empty", " \t"),
        ("bare", "x"),
    ] {
        candidates.push(id.into(), caption.into());
    }
    candidates.image("silent".into());
    for (id, caption) in [
        ("missing", "x"),
        ("good", "a dog"),
        ("good", " "),
        ("twice", "y"),
        ("empty", "z"),
        ("silent", "s"),
    ] {
        references.push(id.into(), caption.into());
    }
    references.image("bare".into());
    let pairs = pair(&candidates, &references, false).expect("not strict");
    let id = || String::from;
    let want = [
        Problem::EmptyReference {
            id: id()("good"),
            reference: 2,
        },
        Problem::UnknownImage {
            id: id()("unknown"),
        },
        Problem::DuplicateCandidate {
            id: id()("twice"),
            count: 2,
        },
        Problem::EmptyCandidate { id: id()("empty") },
        Problem::NoReferences { id: id()("bare") },
        Problem::MissingCandidate { id: id()("silent") },
        Problem::MissingCandidate {
            id: id()("missing"),
        },
    ];
    assert_eq!(pairs.problems, want);
    let text: Vec<_> = pairs.problems.iter().map(ToString::to_string).collect();
    assert_eq!(text[2], "image twice: 2 candidates, the first is scored");
    assert_eq!((pairs.len(), pairs.is_empty()), (3, false));
    let corpus = pairs.corpus(Tokenization::Ptb);
    assert_eq!(corpus.ids(), ["good", "twice", "empty"]);
    assert_eq!(lines(&corpus), ["a dog runs", "one", ""]);
    assert_eq!(
        corpus
            .references(0)
            .map(|r| corpus.text(r))
            .collect::<Vec<_>>(),
        ["a dog", ""]
    );
    assert_eq!(
        corpus
            .references(2)
            .map(|r| corpus.text(r))
            .collect::<Vec<_>>(),
        ["z"]
    );
    let corpus = pairs.corpus(Tokenization::Whitespace);
    assert_eq!(lines(&corpus), ["A dog runs.", "one", ""]);
    let error = pair(&candidates, &references, true).expect_err("strict");
    assert_eq!(
        error.to_string(),
        "7 problems between candidates and references, first: image good: reference 2 is empty"
    );
    assert!(error.hint().expect("a hint").contains("--strict"));
    assert!(matches!(error, InputError::Problems { problems } if problems == want));
}

fn lines(corpus: &Corpus) -> Vec<String> {
    (0..corpus.len())
        .map(|i| corpus.text(corpus.candidate(i)))
        .collect()
}

#[test]
fn nothing_wrong_is_not_refused() {
    let mut captions = Captions::default();
    captions.push("1".into(), "a".into());
    let pairs = pair(&captions, &captions, true).expect("no problem");
    assert_eq!((pairs.len(), pairs.problems.len()), (1, 0));
    assert!(
        pair(&Captions::default(), &Captions::default(), true)
            .expect("nothing")
            .is_empty()
    );
}

#[test]
fn malformed_files_are_refused_with_a_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("examples")
        .map(|e| e.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let name = file.file_name().and_then(|n| n.to_str()).expect("a name");
        let error = match name.strip_prefix("references_") {
            Some(_) => read_references(&file).map(drop).expect_err(name),
            None => read_candidates(&file).map(drop).expect_err(name),
        };
        let text = error.to_string();
        assert!(
            text.contains("line ") || text.contains("record ") || text.contains("key `"),
            "{name}: {text}"
        );
        assert!(error.hint().is_some(), "{name}");
    }
}

/// A file's name holds a number for every parser; each must answer, whatever the bytes.
fn any_answer(bytes: &[u8]) {
    let _ = (
        parse_results(bytes),
        parse_annotations(bytes),
        parse_json_lines(bytes),
    );
    let _ = (
        parse_result_struct(bytes),
        parse_candidates(bytes),
        parse_references(&[bytes, bytes]),
    );
}

#[test]
fn every_prefix_of_a_document_is_refused() {
    for (text, parse) in [
        (
            RESULTS,
            (|b| parse_results(b).is_err()) as fn(&[u8]) -> bool,
        ),
        (ANNOTATIONS, |b| parse_annotations(b).is_err()),
        (RESULT_STRUCT, |b| parse_result_struct(b).is_err()),
    ] {
        (0..text.len()).for_each(|n| assert!(parse(&text.as_bytes()[..n]), "prefix {n} of {text}"));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        any_answer(&bytes);
    }

    #[test]
    fn any_change_of_a_file_is_answered(which in 0..4usize, at in 0..100usize, byte in any::<u8>(), cut in 0..400usize) {
        let mut bytes = [RESULTS, ANNOTATIONS, RESULT_STRUCT, LINES][which].as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(cut.max(1));
        any_answer(&bytes);
    }
}

#[test]
fn one_file_in_anothers_order() {
    let of = |ids: &[&str]| {
        let mut captions = Captions::default();
        for id in ids {
            captions.push(id.to_string(), format!("caption of {id}"));
            captions.push(id.to_string(), "more".into());
        }
        captions
    };
    let (first, second) = (of(&["c", "a", "x"]), of(&["a", "b", "c"]));
    let ordered = second.in_order_of(&first);
    let ids: Vec<&str> = ordered.iter().map(|image| image.0).collect();
    assert_eq!(ids, ["c", "a", "b"]);
    assert!(
        ordered
            .iter()
            .all(|(id, captions)| Some(captions) == second.get(id))
    );
}

#[test]
fn only_images_that_are_not_scored_are_left_out() {
    let id = || "1".to_string();
    let out = [
        Problem::MissingCandidate { id: id() },
        Problem::UnknownImage { id: id() },
        Problem::NoReferences { id: id() },
    ];
    let scored = [
        Problem::DuplicateCandidate { id: id(), count: 2 },
        Problem::EmptyCandidate { id: id() },
        Problem::EmptyReference {
            id: id(),
            reference: 1,
        },
    ];
    assert!(out.iter().all(Problem::leaves_out));
    assert!(!scored.iter().any(Problem::leaves_out));
}

#[test]
fn tokenized_captions_are_left_alone() {
    assert_eq!(Tokenization::of(true), Tokenization::Whitespace);
    assert_eq!(Tokenization::of(false), Tokenization::Ptb);
    let captions = ["A dog, isn't it".to_owned(), String::new()];
    assert_eq!(Tokenization::Whitespace.tokens(&captions), captions);
    assert_eq!(Tokenization::Ptb.tokens(&captions), ["a dog is n't it", ""]);
}

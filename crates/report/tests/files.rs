//! Writing and reading result files: hostile names, malformed text, folders that refuse.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use report::{
    BleuFiles, Candidate, ImageBlob, Reference, ReportError, ResultStruct, bleu_files,
    copy_pictures, parse_result_struct, read_result_struct, render_html, render_result_struct,
    write_html, write_result_struct,
};

fn blob(path: &str, text: &str, logprob: f64, references: &[&str]) -> ImageBlob {
    let references = references
        .iter()
        .map(|text| Reference {
            text: text.to_string(),
        })
        .collect();
    ImageBlob {
        imgid: Some(7),
        references: Some(references),
        img_path: path.into(),
        candidate: Candidate {
            text: text.into(),
            logprob,
        },
    }
}

fn result(imgblobs: Vec<ImageBlob>) -> ResultStruct {
    ResultStruct {
        imgblobs,
        gtppl: Some(15.5),
        ..ResultStruct::default()
    }
}

#[test]
fn the_whole_file_of_an_evaluation() {
    let mut result = result(vec![blob(
        "imgs/a.jpg",
        "a caf\u{e9}",
        -5.25,
        &["a bar", "it 's"],
    )]);
    result.params.insert("beam_size".into(), 5.into());
    result
        .checkpoint_params
        .insert("smooth_eps".into(), 1e-8.into());
    assert_eq!(
        render_result_struct(&result).expect("text"),
        r#"{"checkpoint_params": {"smooth_eps": 1e-08}, "imgblobs": [{"imgid": 7, "#.to_string()
            + r#""references": [{"text": "a bar"}, {"text": "it 's"}], "img_path": "imgs/a.jpg", "#
            + r#""candidate": {"text": "a caf\u00e9", "logprob": -5.25}}], "#
            + r#""params": {"beam_size": 5}, "gtppl": 15.5}"#
    );
}

#[test]
fn the_whole_page_of_hostile_names() {
    let result = result(vec![
        blob(r#"x" onerror="alert(1).jpg"#, "a <unk> & b", -1.0, &[]),
        blob("it's.jpg", "it 's \"so\"", -0.0000005, &[]),
    ]);
    assert_eq!(
        render_html(&result),
        "<img src=\"x&quot; onerror=&quot;alert(1).jpg\" height=\"400\"><br>\
         (-1.000000) a &lt;unk&gt; &amp; b <br><br>\
         <img src=\"it's.jpg\" height=\"400\"><br>(-0.000000) it 's &quot;so&quot; <br><br>"
    );
}

#[test]
fn numbers_that_json_cannot_hold_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("result_struct.json");
    let bad = result(vec![blob("a.jpg", "a", f64::NAN, &[])]);
    let error = write_result_struct(&path, &bad).expect_err("NaN");
    assert_eq!(
        error.to_string(),
        "the log probability of `a.jpg` is NaN, which JSON cannot hold"
    );
    let bad = ResultStruct {
        gtppl: Some(f64::INFINITY),
        ..result(vec![])
    };
    let error = write_result_struct(&path, &bad).expect_err("infinite");
    assert_eq!(error.to_string(), "gtppl is inf, which JSON cannot hold");
    assert!(error.hint().is_some() && !error.is_io());
    assert!(!path.exists());
}

#[test]
fn malformed_files_are_refused_with_line_and_column() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed");
    let mut seen = 0;
    for (name, line, column, problem) in [
        ("empty.json", 1, 0, "EOF while parsing a value"),
        ("python_nan.json", 3, 10, "expected value"),
        (
            "list.json",
            1,
            2,
            "invalid length 1, expected struct ResultStruct with 4 elements",
        ),
        ("no_imgblobs.json", 1, 14, "missing field `imgblobs`"),
        ("no_candidate.json", 2, 44, "missing field `candidate`"),
        (
            "logprob_is_text.json",
            2,
            82,
            "invalid type: string \"-5.3\", expected f64",
        ),
        (
            "negative_imgid.json",
            2,
            33,
            "invalid value: integer `-1`, expected u64",
        ),
        ("logprob_too_large.json", 2, 70, "number out of range"),
        ("lone_surrogate.json", 2, 58, "unexpected end of hex escape"),
        ("not_utf8.json", 2, 16, "invalid unicode code point"),
        ("too_deep.json", 1, 143, "recursion limit exceeded"),
        ("trailing.json", 2, 1, "trailing characters"),
        ("truncated.json", 2, 33, "EOF while parsing an object"),
    ] {
        let error = read_result_struct(&folder.join(name)).expect_err(name);
        let want = format!("line {line}, column {column}: {problem}");
        assert!(error.to_string().ends_with(&want), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.hint().is_some() && !error.is_io());
        seen += 1;
    }
    let on_disk = fs::read_dir(&folder).expect("the folder").count();
    assert_eq!(
        seen, on_disk,
        "every file of tests/malformed is in the table"
    );
}

#[test]
fn every_prefix_is_refused() {
    let text = render_result_struct(&result(vec![blob("a.jpg", "b", -1.5, &["c"])])).expect("text");
    for length in 0..text.len() {
        let error = parse_result_struct(&text.as_bytes()[..length], Path::new("a.json"));
        assert!(
            matches!(error, Err(ReportError::Malformed { .. })),
            "prefix {length}"
        );
    }
}

#[test]
fn unknown_fields_of_older_files_are_skipped() {
    let text = r#"{"imgblobs": [{"img_path": "a.jpg", "candidate": {"text": "b", "logprob": -1,
        "bleu": [0.5, 0.25]}}], "final_result": {"bleu": [1, 2]}}"#;
    let result = parse_result_struct(text.as_bytes(), Path::new("old.json")).expect("a result");
    assert_eq!(
        result.imgblobs[0].candidate,
        Candidate {
            text: "b".into(),
            logprob: -1.0
        }
    );
    assert!(result.params.is_empty() && result.gtppl.is_none());
}

proptest! {
    #[test]
    fn any_result_survives_writing_and_reading(
        path in any::<String>(),
        text in any::<String>(),
        reference in proptest::option::of(any::<String>()),
        imgid in proptest::option::of(any::<u64>()),
        logprob in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO,
        key in any::<String>(),
    ) {
        let mut blob = blob(&path, &text, logprob, &[]);
        blob.references = reference.map(|text| vec![Reference { text }]);
        blob.imgid = imgid;
        let mut result = result(vec![blob]);
        result.params.insert(key, text.clone().into());
        let written = render_result_struct(&result).expect("text");
        prop_assert!(written.is_ascii());
        let read = parse_result_struct(written.as_bytes(), Path::new("a")).expect("our own text");
        prop_assert_eq!(read, result);
    }

    #[test]
    fn mutated_files_never_panic(at in 0usize..200, byte in any::<u8>(), cut in 0usize..200) {
        let text = render_result_struct(&result(vec![blob("a.jpg", "b \u{e9}", -1.5, &["c"])]));
        let mut bytes = text.expect("text").into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.drain(at + 1..(at + 1 + cut % 5).min(bytes.len()));
        if let Err(error) = parse_result_struct(&bytes, Path::new("mutant.json")) {
            prop_assert!(error.to_string().starts_with("`mutant.json`, line "), "{}", error);
        }
    }
}

#[test]
fn fewer_references_are_filled_with_the_last_one() {
    let two = result(vec![
        blob("a.jpg", "one\ntwo", -1.0, &["r0", "r1", "r2"]),
        blob("b.jpg", "", -2.0, &["s0"]),
    ]);
    let want = BleuFiles {
        output: "one two\n".into(),
        references: vec!["r0\ns0".into(), "r1\ns0".into(), "r2\ns0".into()],
    };
    assert_eq!(bleu_files(&two).expect("files"), want);
    let none = BleuFiles {
        output: String::new(),
        references: vec![],
    };
    assert_eq!(
        bleu_files(&result(vec![])).expect("no pictures, no lines"),
        none
    );
    let mut without = blob("c.jpg", "x", -1.0, &[]);
    for references in [Some(vec![]), None] {
        without.references = references;
        let error = bleu_files(&result(vec![without.clone()])).expect_err("no reference");
        assert_eq!(
            error.to_string(),
            "picture `c.jpg` has no reference sentence"
        );
    }
}

#[test]
fn bleu_files_of_an_earlier_run_do_not_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("made/eval");
    let files = |k| BleuFiles {
        output: "o".into(),
        references: vec!["r".into(); k],
    };
    files(5).write(&folder).expect("written");
    fs::write(folder.join("referenceX"), "mine").expect("a file of somebody else");
    files(2).write(&folder).expect("written");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["output", "reference0", "reference1", "referenceX"]);
    assert_eq!(
        fs::read_to_string(folder.join("reference1")).expect("text"),
        "r"
    );
    assert_eq!(
        fs::read_to_string(folder.join("output")).expect("text"),
        "o"
    );
}

#[test]
fn files_are_replaced_and_refusals_name_the_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("result_struct.json");
    fs::write(&path, "old").expect("an old file");
    let new = result(vec![blob("a.jpg", "b", -1.0, &["c"])]);
    write_result_struct(&path, &new).expect("written");
    assert_eq!(read_result_struct(&path).expect("read"), new);
    let page = folder.path().join("result.html");
    write_html(&page, &new).expect("written");
    assert_eq!(fs::read_to_string(&page).expect("text"), render_html(&new));
    assert_eq!(
        fs::read_dir(folder.path()).expect("the folder").count(),
        2,
        "nothing is left over"
    );

    // Nothing can be written beside the page, so the page must stay as it was.
    fs::create_dir(folder.path().join(".result.html.tmp")).expect("an obstacle");
    write_html(&page, &result(vec![])).expect_err("an obstacle");
    assert_eq!(fs::read_to_string(&page).expect("text"), render_html(&new));

    let missing = folder.path().join("no/result.html");
    let error = write_html(&missing, &new).expect_err("no folder");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot write `{}`: ", missing.display()))
    );
    assert_eq!(error.hint().expect("a hint"), "create the folder first");
    let error = read_result_struct(&missing).expect_err("no file");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot read `{}`: ", missing.display()))
    );
    assert!(error.hint().is_some() && error.is_io());
}

#[test]
fn pictures_are_copied_under_their_own_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["one/a.jpg", "one/b; rm -rf.jpg", "two/a.jpg"] {
        fs::create_dir_all(at(name).parent().expect("a parent")).expect("a folder");
        fs::write(at(name), name).expect("a picture");
    }
    let sources = [at("one/a.jpg"), at("one/b; rm -rf.jpg"), at("one/a.jpg")];
    copy_pictures(&sources, &at("dump")).expect("copied");
    assert_eq!(
        fs::read_to_string(at("dump/a.jpg")).expect("text"),
        "one/a.jpg"
    );
    assert_eq!(
        fs::read_to_string(at("dump/b; rm -rf.jpg")).expect("text"),
        "one/b; rm -rf.jpg"
    );
    // Copying onto itself leaves the picture alone.
    copy_pictures(&[at("one/a.jpg")], &at("one")).expect("copied");
    assert_eq!(
        fs::read_to_string(at("one/a.jpg")).expect("text"),
        "one/a.jpg"
    );

    let error =
        copy_pictures(&[at("one/a.jpg"), at("two/a.jpg")], &at("other")).expect_err("twice");
    assert!(matches!(error, ReportError::SameName { .. }), "{error}");
    assert!(!at("other").exists());
    // What is missing is told; the others are copied all the same.
    let sources = [at("one/none.jpg"), PathBuf::from("/"), at("two/a.jpg")];
    let missing = copy_pictures(&sources, &at("rest")).expect("copied");
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert!(
        missing.len() == 2 && missing[0].contains("one/none.jpg"),
        "{missing:?}"
    );
    assert!(missing[1].contains("names no file"), "{missing:?}");
    assert!(at("rest/a.jpg").exists());
}

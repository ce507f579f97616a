//! METEOR against recorded answers of pycocoevalcap 1.2, with METEOR's own data.
//!
//! Here: statistics lines and scores of each caption and of the corpus. Not here: fresh captions
//! (`meteor_live.rs`). Needs the recorded answers in `NEURALTALK_SHARED` and METEOR's distribution, named by
//! `NEURALTALK_METEOR_DATA` or installed for the interpreter `NEURALTALK_PYTHON`; says what is missing otherwise.

use std::path::{Path, PathBuf};

use metrics::meteor::{Meteor, SearchPlaces, Statistics, find_installed};
use serde_json::Value;

fn distribution() -> Option<PathBuf> {
    let [data, environment, path] =
        ["NEURALTALK_METEOR_DATA", "VIRTUAL_ENV", "PATH"].map(std::env::var_os);
    // The interpreter's own folder first.
    let python = std::env::var_os("NEURALTALK_PYTHON")
        .and_then(|python| Path::new(&python).parent().map(Path::to_owned));
    let folders = python
        .into_iter()
        .chain(path.iter().flat_map(std::env::split_paths));
    let path = std::env::join_paths(folders).expect("folders");
    find_installed(SearchPlaces {
        meteor_data: data.as_deref(),
        virtual_env: environment.as_deref(),
        path: Some(&path),
    })
}

fn recorded(name: &str) -> Option<Value> {
    let shared = std::env::var_os("NEURALTALK_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(shared.join("oracle/metrics").join(name)).ok()?;
    Some(serde_json::from_str(&text).expect("JSON"))
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().expect("text"))
            .collect(),
        text => vec![text.as_str().expect("text")],
    }
}

/// Both ways in which the answers were recorded: with the PTB tokenizer, and with words in lower case.
fn check(name: &str) {
    let (Some(folder), Some(recorded)) = (distribution(), recorded(name)) else {
        println!("skipped: no METEOR distribution or no recorded {name}");
        return;
    };
    let items = recorded["items"].as_array().expect("items");
    assert!(!items.is_empty());
    let words = |text: &str| {
        text.to_lowercase()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let cases: Vec<(String, Vec<String>)> = items
        .iter()
        .flat_map(|item| {
            let ptb = (
                item["ptb_cand"].as_str().expect("text").to_owned(),
                strings(&item["ptb_refs"]),
            );
            let ws = (
                words(item["cand"].as_str().expect("text")),
                strings(&item["refs"]),
            );
            [
                (ptb.0, ptb.1.into_iter().map(str::to_owned).collect()),
                (ws.0, ws.1.into_iter().map(words).collect()),
            ]
        })
        .collect();
    let texts = cases
        .iter()
        .flat_map(|(c, r)| std::iter::once(c).chain(r))
        .map(String::as_str);
    let meteor = Meteor::open_for(Some(&folder), texts).expect("METEOR's data");
    for (which, (scores, corpus)) in [("scores_ptb", "corpus_ptb"), ("scores_ws", "corpus_ws")]
        .into_iter()
        .enumerate()
    {
        let mut sum = Statistics::default();
        for (item, pair) in items.iter().zip(cases.chunks(2)) {
            let (candidate, references) = &pair[which];
            let references: Vec<_> = references.iter().map(String::as_str).collect();
            let statistics = meteor.statistics(candidate, &references);
            sum += statistics;
            let wanted = item[scores]["METEOR"].as_f64().expect("a score");
            assert!(
                (statistics.score() - wanted).abs() < 1e-12,
                "{candidate:?}: {wanted}, {statistics}"
            );
            if let (0, Some(line)) = (which, item["meteor_stat_line"].as_str()) {
                assert_eq!(statistics.to_string(), line, "{candidate:?}");
            }
        }
        let wanted = recorded[corpus]["METEOR"].as_f64().expect("a score");
        assert!(
            (sum.score() - wanted).abs() < 1e-12,
            "{corpus}: {wanted}, {}",
            sum.score()
        );
    }
}

#[test]
fn edge_cases_score_as_recorded() {
    check("edge/edge_cases.json");
}

#[test]
fn synthetic_captions_score_as_recorded() {
    check("synthetic/set60.json");
}

//! How long METEOR takes: loading its data for 5,000 pictures, loading all, scoring.
//!
//! Needs METEOR's distribution (`NEURALTALK_METEOR_DATA`, or installed) and Flickr8k's captions. The candidates are
//! the first captions, rotated by one picture every second time, so that good and bad ones are among them.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::Criterion;
use metrics::meteor::{Meteor, SearchPlaces, Statistics, find_installed};
use rayon::prelude::*;

const PICTURES: usize = 5000;

fn flickr8k() -> Option<Vec<Vec<String>>> {
    let shared = std::env::var_os("NEURALTALK_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(shared.join("data/flickr8k/dataset.json")).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).expect("dataset.json");
    let caption = |sentence: &serde_json::Value| {
        let tokens = sentence["tokens"].as_array().expect("tokens");
        tokens
            .iter()
            .map(|t| t.as_str().expect("token"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let images = json["images"]
        .as_array()
        .expect("images")
        .iter()
        .take(PICTURES);
    Some(
        images
            .map(|image| {
                image["sentences"]
                    .as_array()
                    .expect("five")
                    .iter()
                    .map(caption)
                    .collect()
            })
            .collect(),
    )
}

fn score(meteor: &Meteor, candidates: &[&str], references: &[Vec<&str>]) -> Statistics {
    candidates
        .par_iter()
        .zip(references)
        .map(|(c, r)| meteor.statistics(c, r))
        .sum()
}

fn main() {
    let [data, environment, path] =
        ["NEURALTALK_METEOR_DATA", "VIRTUAL_ENV", "PATH"].map(std::env::var_os);
    let places = SearchPlaces {
        meteor_data: data.as_deref(),
        virtual_env: environment.as_deref(),
        path: path.as_deref(),
    };
    let (Some(folder), Some(captions)) = (find_installed(places), flickr8k()) else {
        println!("skipped: no METEOR distribution or no Flickr8k captions");
        return;
    };
    let references: Vec<Vec<&str>> = captions
        .iter()
        .map(|five| five[1..].iter().map(String::as_str).collect())
        .collect();
    let candidates: Vec<&str> = (0..captions.len())
        .map(|i| captions[(i + i % 2) % captions.len()][0].as_str())
        .collect();
    let open = || {
        Meteor::open_for(Some(&folder), captions.iter().flatten().map(String::as_str))
            .expect("data")
    };
    let meteor = open();
    let all = Meteor::open(Some(&folder)).expect("data");

    // What `java -jar meteor-1.5.jar` prints for one of these; then both tables must agree on all.
    let expected = "6.0 4.0 3.0 1.0 2.0 2.0 1.0 1.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 2.0 3.0 3.0";
    let ours = all.statistics("a dog runs on the grass", &["zebra", "the dog runs fast"]);
    assert_eq!(ours.to_string(), expected);
    let sum = score(&meteor, &candidates, &references);
    assert_eq!(sum, score(&all, &candidates, &references));
    println!(
        "{} pictures, METEOR {:.6}, {} of {} paraphrases",
        captions.len(),
        sum.score(),
        meteor.paraphrases(),
        all.paraphrases()
    );

    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    criterion.bench_function("meteor/load for 5000 pictures", |b| {
        b.iter(|| black_box(open()).paraphrases())
    });
    criterion.bench_function("meteor/load all", |b| {
        b.iter(|| Meteor::open(Some(&folder)).expect("data").paraphrases())
    });
    criterion.bench_function("meteor/score 5000 pictures", |b| {
        b.iter(|| black_box(score(&meteor, &candidates, &references)))
    });
    criterion.bench_function("meteor/score 5000 pictures, words not known before", |b| {
        b.iter(|| black_box(score(&all, &candidates, &references)))
    });
    criterion.final_summary();
}

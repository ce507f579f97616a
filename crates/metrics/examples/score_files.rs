//! `score_files CANDIDATES REFERENCES OUT.csv [METEOR_DATA]`: what the speed comparison in `benchmarks/metrics` times.
//!
//! Reads COCO results and annotations, scores, writes each image's scores; prints the table and seconds a step.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use metrics::input::{Tokenization, pair, read_candidates, read_references};
use metrics::meteor::Loading;
use metrics::{Metric, Options, score};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [candidates, references, out, meteor @ ..] = arguments.as_slice() else {
        return Err("usage: score_files CANDIDATES REFERENCES OUT.csv [METEOR_DATA]".into());
    };
    let start = Instant::now();
    let step = |what: &str| eprintln!("{what:>10} {:8.3} s", start.elapsed().as_secs_f64());
    let loading = meteor
        .first()
        .map(|data| Loading::start(Some(Path::new(data))))
        .transpose()?;
    let (candidates, references) = rayon::join(
        || read_candidates(Path::new(candidates)),
        || read_references(Path::new(references)),
    );
    let ((candidates, _), references) = (candidates?, references?);
    step("read");
    let pairs = pair(&candidates, &references, true)?;
    let corpus = pairs.corpus(Tokenization::Ptb);
    step("tokens");
    let lines = || {
        (0..corpus.len()).flat_map(|i| {
            std::iter::once(corpus.spaced_candidate(i))
                .chain(corpus.spaced_references(i))
                .map(|tokens| corpus.text(tokens))
        })
    };
    let meteor = match loading {
        None => None,
        Some(loading) => {
            let lines: Vec<String> = lines().collect();
            Some(loading.finish_for(lines.iter().map(String::as_str))?)
        }
    };
    let metrics = Metric::COCO
        .into_iter()
        .filter(|m| meteor.is_some() || *m != Metric::Meteor)
        .collect();
    let scores = score(
        &corpus,
        &Options {
            metrics,
            meteor: meteor.as_ref(),
            ..Options::default()
        },
    );
    step("scores");
    let mut file = BufWriter::new(std::fs::File::create(out)?);
    let names: Vec<&str> = scores.scores.iter().map(|s| s.name.as_str()).collect();
    writeln!(file, "image,{}", names.join(","))?;
    for (i, id) in scores.ids.iter().enumerate() {
        write!(file, "{id}")?;
        scores
            .scores
            .iter()
            .try_for_each(|score| write!(file, ",{}", score.images[i]))?;
        writeln!(file)?;
    }
    file.flush()?;
    step("written");
    for score in &scores.scores {
        println!("{} {}", score.name, score.corpus);
    }
    Ok(())
}

//! What the search itself costs: a decoder whose rows are ready, at the size of COCO's
//! vocabulary. The answer is checked before anything is timed.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use generate::{BeamOptions, Limits, SampleOptions, beam, greedy, sample};
use models::Decode;

/// V, the words of NeuralTalk's COCO model.
const V: usize = 8791;
const PICTURES: usize = 8;
const ROWS: usize = 64;

/// Copies one of a few random rows for each sentence: memory traffic and no arithmetic.
struct Ready {
    rows: Vec<f32>,
}

impl Ready {
    fn new() -> Self {
        let mut random = 1u64;
        let mut row = || {
            let logits: Vec<f64> = (0..V)
                .map(|_| {
                    random = random
                        .wrapping_mul(6364136223846793005)
                        .wrapping_add(1442695040888963407);
                    10.0 * (random >> 11) as f64 / (1u64 << 53) as f64
                })
                .collect();
            let sum: f64 = logits.iter().map(|l| l.exp()).sum();
            logits.into_iter().map(move |l| (l - sum.ln()) as f32)
        };
        Self {
            rows: (0..ROWS).flat_map(|_| row()).collect(),
        }
    }

    fn row(&self, picture: u64, word: u32, length: usize) -> &[f32] {
        let row = (picture as usize * 17 + word as usize * 5 + length * 3) % ROWS;
        &self.rows[row * V..][..V]
    }
}

impl Decode for Ready {
    /// Picture and number of words of each row.
    type State = Vec<(u64, usize)>;

    fn vocabulary(&self) -> usize {
        V
    }

    fn step(
        &self,
        state: &Self::State,
        parents: &[usize],
        words: &[u32],
        log_probs: &mut Vec<f32>,
    ) -> Self::State {
        log_probs.clear();
        let next = parents.iter().zip(words).map(|(&parent, &word)| {
            let (picture, length) = state[parent];
            log_probs.extend_from_slice(self.row(picture, word, length));
            (picture, length + 1)
        });
        next.collect()
    }
}

/// The likeliest sentence of a picture by a plain beam search with full sorts.
fn plain(ready: &Ready, picture: u64, beam_size: usize) -> (f64, Vec<u32>) {
    let mut beams = vec![(0.0, Vec::<u32>::new())];
    for length in 0..20 {
        let mut candidates = vec![];
        for (log_prob, words) in &beams {
            if words.last() == Some(&0) {
                candidates.push((*log_prob, words.clone()));
                continue;
            }
            let row = ready.row(picture, words.last().copied().unwrap_or(0), length);
            for (word, value) in (0u32..).zip(row) {
                let total = log_prob + f64::from(*value);
                candidates.push((total, [words.as_slice(), &[word]].concat()));
            }
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
        candidates.truncate(beam_size);
        beams = candidates;
    }
    beams.swap_remove(0)
}

fn benchmark(c: &mut Criterion) {
    let ready = Ready::new();
    let state: Vec<(u64, usize)> = (0..PICTURES as u64).map(|picture| (picture, 0)).collect();
    let options = BeamOptions::new(20);
    let captions = beam(&ready, &state, PICTURES, &options).expect("captions");
    for picture in [0, PICTURES - 1] {
        let (log_prob, words) = plain(&ready, picture as u64, 20);
        let got = &captions[picture][0];
        assert_eq!(
            (got.log_prob, &got.tokens),
            (log_prob, &words),
            "picture {picture}"
        );
    }
    let steps = captions.iter().map(|c| c[0].word_log_probs.len()).max();
    assert_eq!(
        steps,
        Some(20),
        "END is one word of {V}, so that all rows live to the end"
    );

    // The decoder's share, copying 160 rows 20 times, is timed alone to be subtracted.
    c.bench_function("copying the rows of 8 pictures, beam 20, 20 steps", |b| {
        let rows: Vec<usize> = (0..PICTURES * 20).map(|row| row / 20).collect();
        let mut log_probs = Vec::new();
        b.iter(|| {
            let mut next = ready.step(&state, &rows[..PICTURES], &[0; PICTURES], &mut log_probs);
            next.resize(PICTURES * 20, (0, 1));
            for _ in 1..20 {
                next = ready.step(&next, &rows, &[1; PICTURES * 20], &mut log_probs);
            }
            black_box(next.len())
        });
    });
    c.bench_function("8 pictures, beam 20, 20 steps, V = 8791", |b| {
        b.iter(|| beam(&ready, black_box(&state), PICTURES, &options));
    });
    c.bench_function("8 pictures, greedy, 20 steps, V = 8791", |b| {
        b.iter(|| greedy(&ready, black_box(&state), PICTURES, &Limits::default()));
    });
    let keys: Vec<u64> = (0..PICTURES as u64).collect();
    for (name, top_p) in [("plain", None), ("top-p 0.9", Some(0.9))] {
        let options = SampleOptions {
            top_p,
            ..SampleOptions::new(1)
        };
        c.bench_function(
            &format!("8 pictures, sampling {name}, 20 steps, V = 8791"),
            |b| {
                b.iter(|| sample(&ready, black_box(&state), &keys, &options));
            },
        );
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);

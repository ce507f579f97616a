//! Captions by consensus against the same from first principles.

mod toy;

use generate::{BeamOptions, Caption, beam};
use toy::{Toy, pictures, random_scores};

fn options(beam_size: usize, n_best: usize, consensus: bool) -> BeamOptions {
    BeamOptions {
        n_best,
        consensus,
        ..BeamOptions::new(beam_size)
    }
}

/// How often `gram` occurs in `words`.
fn count(words: &[u32], gram: &[u32]) -> f64 {
    let grams = words.windows(gram.len());
    grams.filter(|w| *w == gram).count() as f64
}

/// Σ over the distinct n-grams of `words`.
fn sum(words: &[u32], n: usize, term: impl Fn(&[u32]) -> f64) -> f64 {
    let mut grams: Vec<&[u32]> = words.windows(n).collect();
    grams.sort_unstable();
    grams.dedup();
    grams.into_iter().map(term).sum()
}

/// CIDEr-D / 10 with the weight 1 for every n-gram.
fn similarity(a: &[u32], b: &[u32]) -> f64 {
    let norm = |x: &[u32], n| sum(x, n, |g| count(x, g).powi(2)).sqrt();
    let mut total = 0.0;
    for n in 1..=4 {
        let shared = sum(a, n, |g| count(a, g).min(count(b, g)) * count(b, g));
        if 0.0 < shared {
            total += shared / (norm(a, n) * norm(b, n)) / 4.0;
        }
    }
    let longer = a.len() as f64 - b.len() as f64;
    total * (-longer.powi(2) / 72.0).exp()
}

fn gain(one: &Caption, all: &[Caption]) -> f64 {
    let weight = |other: &Caption| (other.log_prob / 2.0).exp();
    let terms = all
        .iter()
        .map(|other| weight(other) * similarity(&one.tokens, &other.tokens));
    terms.sum::<f64>() / all.iter().map(weight).sum::<f64>()
}

#[test]
fn the_order_is_that_of_expected_agreement() {
    let mut moved = 0;
    for seed in 0..100 {
        let scores = random_scores(seed, 5, 1.5, -0.5, false);
        let toy = Toy::new(5, scores);
        let keys: Vec<u64> = (0..4).collect();
        let found = |consensus| {
            let options = options(6, 6, consensus);
            beam(&toy, &pictures(&keys), keys.len(), &options).expect("captions")
        };
        for (likeliest, ranked) in found(false).into_iter().zip(found(true)) {
            assert_eq!(likeliest.len(), ranked.len());
            assert!(likeliest.iter().all(|caption| ranked.contains(caption)));
            let gains: Vec<f64> = ranked.iter().map(|c| gain(c, &likeliest)).collect();
            let sorted = gains.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12);
            assert!(sorted, "{gains:?}");
            moved += usize::from(ranked[0] != likeliest[0]);
        }
    }
    // Both happen: sentences of such a toy have little in common.
    assert!((50..380).contains(&moved), "{moved} of 400");
}

/// The whole beam is compared, however few captions are wanted.
#[test]
fn the_best_alone_is_the_best_of_all() {
    for seed in 0..100 {
        let toy = Toy::new(5, random_scores(seed, 5, 1.5, 0.5, false));
        let found = |n_best| {
            let options = options(5, n_best, true);
            beam(&toy, &pictures(&[seed]), 1, &options)
                .expect("captions")
                .remove(0)
        };
        assert_eq!(found(1)[0], found(5)[0], "{seed}");
        assert_eq!(found(2), found(5)[..2], "{seed}");
    }
}

/// Two that say nearly the same outweigh a likelier third: worked by hand.
#[test]
fn neighbours_outweigh_a_likelier_stranger() {
    // 1: the stranger, `1`, p = 0.4; 2: the neighbours, `2 3 4` and `2 3 5`, p = 0.31 and 0.29.
    let scores = |_, words: &[u32]| {
        let p: [f32; 6] = match words {
            [] => [0.0, 0.4, 0.6, 0.0, 0.0, 0.0],
            [2] => [0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            [2, 3] => [0.0, 0.0, 0.0, 0.0, 0.51, 0.49],
            _ => [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        };
        p.iter().map(|p| p.ln()).collect()
    };
    let toy = Toy::new(6, scores);
    let first = |consensus| {
        let options = options(3, 1, consensus);
        let found = beam(&toy, &pictures(&[0]), 1, &options).expect("captions");
        found[0][0].tokens.clone()
    };
    assert_eq!(first(false), [1]);
    assert_eq!(first(true), [2, 3, 4]);
}

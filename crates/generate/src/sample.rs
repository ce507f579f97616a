//! Sampling: the next word is drawn from the model's distribution, sharpened or cut on request.
//!
//! First the temperature, then top-k, then top-p on what top-k left, the usual order. Top-p is
//! nucleus sampling (Holtzman, Buys, Du, Forbes & Choi 2020): the fewest likeliest words whose
//! probabilities reach p. Not here: the loop over words (`follow.rs`).

use models::Decode;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tensor::step::Choice;

use crate::follow::{Next, follow};
use crate::rows::Row;
use crate::top_k::{Scored, TopK};
use crate::{Caption, GenerateError, Limits};

/// How many of the likeliest words are tried first for a nucleus.
const FIRST_NUCLEUS: usize = 64;

/// Options of [`sample`].
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// Captions drawn for each picture.
    pub samples: usize,
    /// With the picture's key and the sample's number it determines every draw.
    pub seed: u64,
    /// Words are drawn with p^(1 / temperature), normalised: 1 is the model, towards 0 greedy.
    pub temperature: f64,
    /// Draw from this many likeliest words only.
    pub top_k: Option<usize>,
    /// Draw from the fewest likeliest words that have this probability together, in (0, 1].
    pub top_p: Option<f64>,
    /// Length, rows per step, constraints.
    pub limits: Limits,
}

impl SampleOptions {
    /// One sample from the model's own distribution, of at most 20 words.
    pub fn new(seed: u64) -> Self {
        Self {
            samples: 1,
            seed,
            temperature: 1.0,
            top_k: None,
            top_p: None,
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self, vocabulary: usize) -> Result<(), GenerateError> {
        let refuse =
            |option, value: f64, must_be| Err(GenerateError::option(option, value, must_be));
        if !(self.temperature.is_finite() && 0.0 < self.temperature) {
            return refuse("temperature", self.temperature, "a finite number above 0");
        }
        if self.top_k == Some(0) {
            return refuse("top_k", 0.0, "at least 1");
        }
        if let Some(p) = self.top_p
            && !(0.0 < p && p <= 1.0)
        {
            return refuse("top_p", p, "above 0 and at most 1");
        }
        self.limits.constraints.refuse_required("sampling")?;
        self.limits.check(vocabulary)
    }
}

/// `samples` captions for each picture, the likeliest first; row i of `initial` is the picture
/// that `keys[i]` names.
///
/// The draws depend on (seed, key, number of the sample) alone: the same picture gives the same
/// captions in any batch and any order. Different pictures should have different keys.
/// `log_prob` is the model's, whatever the temperature and the cuts.
///
/// # Errors
/// Impossible options, a decoder that returns no log probabilities, or constraints that leave
/// no word.
pub fn sample<D: Decode>(
    decoder: &D,
    initial: &D::State,
    keys: &[u64],
    options: &SampleOptions,
) -> Result<Vec<Vec<Caption>>, GenerateError> {
    options.check(decoder.vocabulary())?;
    if options.samples == 0 {
        return Ok(vec![Vec::new(); keys.len()]);
    }
    let mut draw = Draw::new(options);
    let mut captions = Vec::with_capacity(keys.len());
    let pictures: Vec<usize> = (0..keys.len()).collect();
    for pictures in pictures.chunks(options.limits.pictures_at_once(options.samples)) {
        let mut starts = Vec::new();
        draw.randoms.clear();
        for &picture in pictures {
            for number in 0..options.samples {
                starts.push(picture);
                let random = random(options.seed, keys[picture], number as u64);
                draw.randoms.push(random);
            }
        }
        let mut found = follow(decoder, initial, &starts, &options.limits, &mut draw)?;
        for caption in found.chunks_mut(options.samples) {
            caption.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob));
            captions.push(caption.to_vec());
        }
    }
    Ok(captions)
}

/// Random numbers of one sentence. The three numbers are the cipher's key, so that streams of
/// neighbouring seeds and pictures have nothing in common.
fn random(seed: u64, key: u64, number: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (part, value) in bytes.chunks_exact_mut(8).zip([seed, key, number]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

/// Uniform in [0, 1), all 53 bits of an f64.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Draws words from rows of log probabilities.
struct Draw {
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    /// One for each sentence.
    randoms: Vec<ChaCha8Rng>,
    /// The numbers in [0, 1) that they gave for the next words of the sentences that go on.
    uniforms: Vec<f64>,
    top: TopK,
    /// Weights p^(1 / temperature) of the words that may be drawn, relative to the likeliest.
    weights: Vec<f64>,
}

impl Next for Draw {
    fn choice(&mut self, live: &[usize]) -> Option<Choice<'_>> {
        self.uniforms.clear();
        let randoms = &mut self.randoms;
        let drawn = live.iter().map(|&sentence| uniform(&mut randoms[sentence]));
        self.uniforms.extend(drawn);
        match (self.top_k, self.top_p) {
            (Some(k), _) => Some(Choice::Likeliest(k)),
            (None, None) if self.temperature == 1.0 => Some(Choice::Drawn(&self.uniforms)),
            _ => None,
        }
    }

    fn word(&mut self, at: usize, row: Row<'_>) -> Option<Scored> {
        self.draw(row, self.uniforms[at])
    }
}

impl Draw {
    fn new(options: &SampleOptions) -> Self {
        Self {
            temperature: options.temperature,
            top_k: options.top_k,
            top_p: options.top_p,
            randoms: Vec::new(),
            uniforms: Vec::new(),
            top: TopK::default(),
            weights: Vec::new(),
        }
    }

    /// The word of `row` at `uniform` in [0, 1) of the distribution; None if no word is possible.
    fn draw(&mut self, row: Row<'_>, uniform: f64) -> Option<Scored> {
        let (mut k, total) = match (self.top_k, self.top_p, row) {
            (None, None, Row::LogProbs(row)) => {
                let word = self.any(row, uniform)?;
                return Some((word, row[word as usize].min(0.0)));
            }
            (None, _, Row::Chosen(drawn)) => {
                let possible = |&&(_, v): &&Scored| v != f32::NEG_INFINITY;
                return drawn.first().filter(possible).copied();
            }
            (Some(k), _, _) => (k, None),
            // A nucleus is small as a rule: it is looked for among ever more of the best words,
            // instead of sorting all.
            (None, Some(_), Row::LogProbs(row)) => {
                (FIRST_NUCLEUS, Some((self.total(row), row.len())))
            }
        };
        loop {
            let candidates = self.top.of(row, k, f32::NEG_INFINITY);
            let max = candidates.first()?.1;
            weigh(
                &mut self.weights,
                candidates.iter().map(|c| c.1),
                max,
                self.temperature,
            );
            if let Some(p) = self.top_p {
                let sum = total.map_or_else(|| self.weights.iter().sum(), |(sum, _)| sum);
                match (position(&self.weights, p * sum), total) {
                    (Some(last), _) => self.weights.truncate(last + 1),
                    (None, Some((_, words))) if k < words => {
                        k *= 8;
                        continue;
                    }
                    (None, _) => {}
                }
            }
            let place = inverse(&self.weights, uniform);
            return candidates.get(place).copied();
        }
    }

    /// The sum of all words' weights.
    fn total(&mut self, row: &[f32]) -> f64 {
        weigh(
            &mut self.weights,
            row.iter().copied(),
            largest(row),
            self.temperature,
        );
        self.weights.iter().sum()
    }

    /// Without a cut no order is needed: the words' own will do.
    fn any(&mut self, row: &[f32], uniform: f64) -> Option<u32> {
        if self.temperature == 1.0
            && let Some(word) = direct(row, uniform)
        {
            return Some(word);
        }
        let max = largest(row);
        if max == f32::NEG_INFINITY {
            return None;
        }
        weigh(
            &mut self.weights,
            row.iter().copied(),
            max,
            self.temperature,
        );
        Some(inverse(&self.weights, uniform) as u32)
    }
}

/// The word of a row of log probabilities as they are, None if all are too small for a sum.
///
/// Vocabularies list frequent words first, so that as a rule some dozens of exponentials decide among thousands of words.
/// Where the sum falls short of 1 (a constraint took words out, or rounding did) the part of [0, 1) that belongs to nobody
/// is stretched over the words there are, in their proportions: every word has its share of the whole.
fn direct(row: &[f32], uniform: f64) -> Option<u32> {
    let (mut sum, mut last) = (0.0, None);
    for (word, &log_prob) in (0u32..).zip(row) {
        let p = f64::from(log_prob.min(0.0)).exp();
        if 0.0 < p {
            sum += p;
            last = Some(word);
            if uniform < sum {
                return last;
            }
        }
    }
    let target = (uniform - sum) / (1.0 - sum) * sum;
    sum = 0.0;
    let place = row.iter().position(|&log_prob| {
        sum += f64::from(log_prob.min(0.0)).exp();
        target < sum
    });
    place.map(|word| word as u32).or(last)
}

fn largest(row: &[f32]) -> f32 {
    // Rounding above 0 counts as 0, as everywhere in a search.
    row.iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
        .min(0.0)
}

/// Fills `weights` with exp((value - max) / temperature): the likeliest has 1, so that no
/// temperature overflows, and -∞ has 0.
fn weigh(weights: &mut Vec<f64>, values: impl Iterator<Item = f32>, max: f32, temperature: f64) {
    weights.clear();
    weights.extend(values.map(|v| ((f64::from(v) - f64::from(max)) / temperature).exp()));
}

/// Where the running sum of `weights` first reaches `target`.
fn position(weights: &[f64], target: f64) -> Option<usize> {
    let mut sum = 0.0;
    weights.iter().position(|weight| {
        sum += weight;
        target <= sum
    })
}

/// The place in which `uniform` in [0, 1) falls when every weight has its share of [0, 1).
/// A weight of 0 is never taken.
fn inverse(weights: &[f64], uniform: f64) -> usize {
    let target = uniform * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let place = weights.iter().position(|weight| {
        sum += weight;
        target < sum
    });
    // The product may round up to the sum: then it is the last word that has any weight.
    place
        .or_else(|| weights.iter().rposition(|&weight| 0.0 < weight))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_by_the_word_whose_share_holds_it() {
        let weights = [0.0, 1.0, 0.0, 3.0, 0.0];
        for (uniform, want) in [(0.0, 1), (0.2499, 1), (0.25, 3), (0.9999, 3)] {
            assert_eq!(inverse(&weights, uniform), want, "{uniform}");
        }
        // The product rounds up to the sum: still a word that has weight.
        assert_eq!(inverse(&[0.0, 5e-324, 0.0], 0.99), 1);
    }

    /// The oracle weighs all words and divides by their sum. A fine grid of [0, 1) must give every word its share, also
    /// where words were taken out.
    #[test]
    fn the_direct_draw_gives_every_word_its_share() {
        let p: [f64; 6] = [0.05, 0.4, 0.0, 0.25, 0.18, 0.12];
        let out = f32::NEG_INFINITY;
        let all: Vec<f32> = p.iter().map(|p| p.ln() as f32).collect();
        let mut without = all.clone();
        (without[1], without[5]) = (out, out);
        let few = vec![out, out, -46.0, out, out, -45.0];
        for row in [all, without, few] {
            let weights: Vec<f64> = row.iter().map(|&v| f64::from(v).exp()).collect();
            let total: f64 = weights.iter().sum();
            let n = 100_000;
            let mut counts = [0; 6];
            for i in 0..n {
                let word = direct(&row, (f64::from(i) + 0.5) / f64::from(n)).expect("a word");
                counts[word as usize] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(*count) / f64::from(n);
                assert!((share - weight / total).abs() < 5e-5, "{row:?}: {counts:?}");
                assert!(*weight > 0.0 || *count == 0, "{row:?}: {counts:?}");
            }
        }
        assert_eq!(direct(&[out, -800.0], 0.5), None);
        let mut draw = Draw::new(&SampleOptions::new(1));
        let mut draw = |row: &[f32]| draw.draw(Row::LogProbs(row), 0.5);
        assert_eq!(draw(&[out, -800.0]), Some((1, -800.0)));
        assert_eq!(draw(&[out, out]), None);
    }

    #[test]
    fn a_nucleus_that_reaches_p_exactly_is_complete() {
        assert_eq!(position(&[0.5, 0.25, 0.25], 0.75), Some(1));
        assert_eq!(position(&[0.5, 0.25, 0.25], 0.76), Some(2));
        assert_eq!(position(&[0.5, 0.25], 0.76), None);
    }
}

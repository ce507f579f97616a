//! What a client may choose about its captions, in whatever form it asks.
//!
//! Here: the names, their limits, and the search that follows. A temperature means that words are
//! drawn; without one, or with 0, the likeliest sentences are searched for.

use generate::{Options, Sampling};
use serde::Deserialize;

use super::Config;
use crate::Problem;

/// Captions of one picture at most.
const MOST_CAPTIONS: usize = 20;

/// Widest beam: a wider one finds nothing better, and costs everybody else their turn.
const WIDEST: usize = 20;

/// Longest caption that can be asked for, in words.
const MOST_WORDS: usize = 50;

/// The options of a request. Every one may be left out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ask {
    /// Captions for each picture, best first.
    pub(crate) n: Option<usize>,
    /// Partial sentences kept by the search.
    pub(crate) beam_size: Option<usize>,
    /// 0: search; more: draw words, the more freely the higher.
    pub(crate) temperature: Option<f64>,
    /// Draw from the likeliest words that have this probability together.
    pub(crate) top_p: Option<f64>,
    /// Longest caption.
    pub(crate) max_words: Option<usize>,
    /// The same seed draws the same captions.
    pub(crate) seed: Option<u64>,
    /// Whether to say where the model looked.
    pub(crate) attention: Option<bool>,
}

/// The names, for messages.
pub(crate) const NAMES: &str = "n, beam_size, temperature, top_p, max_words, seed, attention";

impl Ask {
    /// From `a=1&b=2`.
    pub(crate) fn from_query(query: &str) -> Result<Self, Problem> {
        let mut ask = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            ask.set(name, value)?;
        }
        Ok(ask)
    }

    /// One more option from a form's field.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let wrong = || Problem::bad_request(format!("{name} is `{}`", shorten(value)));
        fn number<T: std::str::FromStr>(value: &str) -> Option<T> {
            value.trim().parse().ok()
        }
        match name {
            "n" => self.n = Some(number(value).ok_or_else(wrong)?),
            "beam_size" => self.beam_size = Some(number(value).ok_or_else(wrong)?),
            "temperature" => self.temperature = Some(number(value).ok_or_else(wrong)?),
            "top_p" => self.top_p = Some(number(value).ok_or_else(wrong)?),
            "max_words" => self.max_words = Some(number(value).ok_or_else(wrong)?),
            "seed" => self.seed = Some(number(value).ok_or_else(wrong)?),
            "attention" => self.attention = Some(number(value).ok_or_else(wrong)?),
            _ => {
                let detail = format!("there is no option `{}`", shorten(name));
                return Err(Problem::bad_request(detail).hint(format!("there are {NAMES}")));
            }
        }
        Ok(())
    }

    /// The search, within the limits.
    pub(crate) fn options(&self, config: &Config) -> Result<Options, Problem> {
        let n = between("n", self.n.unwrap_or(1), 1, MOST_CAPTIONS)?;
        let temperature = self.temperature.unwrap_or(0.0);
        if !(0.0..=5.0).contains(&temperature) {
            let detail = format!("temperature is {temperature}, and has to be from 0 to 5");
            return Err(Problem::bad_request(detail));
        }
        let top_p = self.top_p.filter(|&top_p| top_p != 1.0);
        if let Some(top_p) = top_p
            && !(0.0 < top_p && top_p < 1.0)
        {
            let detail = format!("top_p is {top_p}, and has to be above 0 and at most 1");
            return Err(Problem::bad_request(detail));
        }
        // Who asks for five captions and no beam wants a beam that has five.
        let beam_size = self.beam_size.unwrap_or_else(|| n.max(3));
        let beam_size = between("beam_size", beam_size, 1, WIDEST)?;
        let drawn = 0.0 < temperature;
        if !drawn && beam_size < n {
            let detail = format!("n is {n} and beam_size {beam_size}");
            return Err(Problem::bad_request(detail).hint("a beam of K finds at most K captions"));
        }
        let usual = Options::default();
        let max_words = self.max_words.unwrap_or(usual.max_words);
        Ok(Options {
            beam_size,
            n_best: n,
            sampling: drawn.then(|| Sampling {
                temperature,
                top_k: None,
                top_p,
                seed: self.seed.unwrap_or(0),
            }),
            max_words: between("max_words", max_words, 1, MOST_WORDS)?,
            decode: config.decode,
            attention: self.attention.unwrap_or(false),
            ..usual
        })
    }
}

fn between(name: &str, value: usize, least: usize, most: usize) -> Result<usize, Problem> {
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(Problem::bad_request(format!(
            "{name} is {value}, and has to be from {least} to {most}"
        ))),
    }
}

/// What is quoted back is no longer than it has to be.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &str) -> Result<Options, Problem> {
        Ask::from_query(query)?.options(&Config::default())
    }

    #[test]
    fn what_is_left_out_is_usual_and_what_is_wrong_is_named() {
        let usual = options("").expect("usual");
        assert_eq!(
            (usual.beam_size, usual.n_best, usual.sampling),
            (3, 1, None)
        );
        assert_eq!(options("n=5").expect("five").beam_size, 5);
        let drawn = options("temperature=0.8&n=4&beam_size=1&seed=7&top_p=0.9").expect("drawn");
        let sampling = drawn.sampling.expect("drawn");
        assert_eq!(
            (sampling.temperature, sampling.seed, sampling.top_p),
            (0.8, 7, Some(0.9))
        );
        assert_eq!(options("temperature=0").expect("searched").sampling, None);
        for (query, words) in [
            ("n=0", "n is 0"),
            ("n=21", "from 1 to 20"),
            ("n=5&beam_size=2", "n is 5 and beam_size 2"),
            ("beam_size=1000000", "beam_size is 1000000"),
            ("n=-1", "n is `-1`"),
            ("temperature=NaN", "temperature is NaN"),
            ("temperature=6", "from 0 to 5"),
            ("top_p=0", "top_p is 0"),
            ("max_words=0", "max_words is 0"),
            ("attention=maybe", "attention is `maybe`"),
            ("beam=3", "no option `beam`"),
        ] {
            let problem = options(query).expect_err(query);
            assert_eq!(problem.status.as_u16(), 400, "{query}");
            assert!(
                problem.detail.contains(words),
                "{query}: {}",
                problem.detail
            );
        }
    }
}

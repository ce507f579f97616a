//! `neuraltalk gradcheck`: every gradient of every decoder against central differences, in f64.
//!
//! Here: the table of variants and the batch that they are checked on. Not here: the comparison
//! (`nn::gradcheck`), the gradients (`tensor::ops`).
//!
//! Source: `gradCheck` in NeuralTalk's `driver.py`, which checks ten numbers a parameter. The
//! batch is what training meets: sentences of different length, two of them about one picture,
//! one empty. The RNN's decoder dropout is left out: NeuralTalk masks the hidden state after the
//! recurrence and goes back through the masked one, which is not the gradient of anything;
//! golden values of the original test that.

use std::io::Write;

use models::{
    AttentionConfig, Decoder, DecoderConfig, LstmConfig, Objective, RnnConfig, Sentences,
};
use nn::gradcheck::Disagreement;
use nn::{Dropout, Parameters};
use serde::Serialize;
use tensor::{Device, Tensor};

use crate::exit::Exit;

/// Compare every gradient with central differences, for every kind of decoder
#[derive(clap::Args)]
#[command(after_help = "\
Analytic gradients against (loss(w + e) - loss(w - e)) / 2e in 64-bit numbers. Exit code 1 if any
relative error is larger than --tolerance.

Examples:
  neuraltalk gradcheck
  neuraltalk gradcheck --json | jq '.variants[].variant'")]
pub(crate) struct Args {
    /// Largest relative error that passes
    #[arg(long, value_name = "X", default_value_t = 1e-6)]
    tolerance: f64,

    /// Numbers to check of each parameter, 0 for all
    #[arg(long, value_name = "N", default_value_t = 0)]
    per_parameter: usize,

    /// Seed of weights, features and dropout
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// D, E, H and V: small, all different, so that no transposition goes unnoticed.
const FEATURE: usize = 7;
const EMBEDDING: usize = 5;
const HIDDEN: usize = 6;
const VOCABULARY: usize = 9;
/// R of the decoder with attention.
const REGIONS: usize = 3;

/// A decoder and what is dropped in it.
struct Variant {
    name: String,
    config: DecoderConfig,
    /// Drop probabilities of encoder and decoder.
    drop: (f64, f64),
}

/// Every decoder with every switch.
fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    let drops = [(0.0, 0.0), (0.4, 0.0), (0.0, 0.3), (0.4, 0.3)];
    for tanh_c in [false, true] {
        for drop in drops {
            all.push(Variant {
                name: format!("lstm tanhC {}{}", u8::from(tanh_c), dropped(drop)),
                config: DecoderConfig::Lstm(LstmConfig {
                    feature: FEATURE,
                    embedding: EMBEDDING,
                    hidden: HIDDEN,
                    vocabulary: VOCABULARY,
                    tanh_c,
                }),
                drop,
            });
        }
    }
    for (relu_encoders, feed_once) in [(false, false), (false, true), (true, false), (true, true)] {
        for drop in drops.into_iter().filter(|drop| drop.1 == 0.0) {
            all.push(Variant {
                name: format!(
                    "rnn relu {} once {}{}",
                    u8::from(relu_encoders),
                    u8::from(feed_once),
                    dropped(drop)
                ),
                config: DecoderConfig::Rnn(RnnConfig {
                    feature: FEATURE,
                    embedding: EMBEDDING,
                    hidden: HIDDEN,
                    vocabulary: VOCABULARY,
                    relu_encoders,
                    feed_once,
                }),
                drop,
            });
        }
    }
    for drop in drops {
        all.push(Variant {
            name: format!("attention{}", dropped(drop)),
            config: DecoderConfig::Attention(AttentionConfig {
                feature: FEATURE,
                projection: 8,
                embedding: EMBEDDING,
                hidden: HIDDEN,
                attention: 4,
                vocabulary: VOCABULARY,
            }),
            drop,
        });
    }
    all
}

fn dropped((encoder, decoder): (f64, f64)) -> &'static str {
    match (encoder > 0.0, decoder > 0.0) {
        (false, false) => "",
        (true, false) => ", encoder dropout",
        (false, true) => ", decoder dropout",
        (true, true) => ", both dropouts",
    }
}

/// Sentences of 4, 3, 3, 1 and 0 words about three pictures, packed longest first.
const IMAGE_OF: [usize; 5] = [2, 0, 1, 0, 2];
const LIVE: [usize; 5] = [5, 4, 3, 3, 1];
const INPUTS: [u32; 16] = [0, 0, 0, 0, 0, 3, 1, 8, 2, 4, 1, 5, 6, 7, 3, 2];
const TARGETS: [u32; 16] = [3, 1, 8, 2, 0, 4, 1, 5, 0, 6, 7, 3, 2, 0, 0, 0];

#[derive(Serialize)]
struct Row {
    parameter: String,
    checked: usize,
    largest_gradient: f64,
    relative_error: f64,
}

impl Row {
    /// NaN doesn't pass, and neither does a gradient of nothing but zeros: nothing was tested.
    fn passes(&self, tolerance: f64) -> bool {
        self.relative_error <= tolerance && self.largest_gradient > 0.0
    }
}

#[derive(Serialize)]
struct Block {
    variant: String,
    parameters: Vec<Row>,
}

/// Prints the table.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    // One thread: the pieces are too small to be shared.
    let device = Device::cpu(1);
    let blocks: Vec<Block> = variants()
        .iter()
        .map(|variant| Block {
            variant: variant.name.clone(),
            parameters: check(variant, args, &device).into_iter().map(row).collect(),
        })
        .collect();
    let rows = || blocks.iter().flat_map(|block| &block.parameters);
    let failed = rows().filter(|row| !row.passes(args.tolerance)).count();
    let worst = rows().map(|row| row.relative_error).fold(0.0, f64::max);
    if args.json {
        let report = serde_json::json!({
            "tolerance": args.tolerance, "worst": worst, "failed": failed, "variants": blocks,
        });
        writeln!(out, "{report:#}")?;
    } else {
        table(&blocks, args.tolerance, out)?;
        let count = rows().count();
        writeln!(
            out,
            "{} variants, {count} parameters, worst relative error {worst:.1e}: {}",
            blocks.len(),
            match failed {
                0 => "all gradients are right".to_owned(),
                _ => format!("{failed} WRONG (tolerance {:.0e})", args.tolerance),
            }
        )?;
        writeln!(
            out,
            "not checked: decoder dropout of the rnn, whose backward pass is NeuralTalk's and not the gradient"
        )?;
    }
    Ok(if failed == 0 {
        Exit::Done
    } else {
        Exit::Partial
    })
}

fn table(blocks: &[Block], tolerance: f64, out: &mut dyn Write) -> anyhow::Result<()> {
    for block in blocks {
        writeln!(
            out,
            "{:<36} checked  largest gradient  relative error",
            block.variant
        )?;
        for row in &block.parameters {
            writeln!(
                out,
                "  {:<34} {:>7}  {:>16.3e}  {:>14.1e}{}",
                row.parameter,
                row.checked,
                row.largest_gradient,
                row.relative_error,
                if row.passes(tolerance) { "" } else { "  WRONG" }
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn row(found: Disagreement) -> Row {
    Row {
        parameter: found.name,
        checked: found.checked,
        largest_gradient: found.largest,
        relative_error: found.relative_error,
    }
}

/// One variant with random weights, biases included: zeros would hide mistakes.
fn check(variant: &Variant, args: &Args, device: &Device) -> Vec<Disagreement> {
    /// Large enough for gates and ReLUs to leave their linear part. Not larger: the loss is
    /// -ln(1e-20 + p), whose gradient NeuralTalk takes for that of -ln p. Where a word's p comes
    /// near 1e-20 the two differ.
    const WEIGHT_LIMIT: f64 = 0.7;
    let uniform = |shape: &[usize], limit: f64, stream: u64| -> Tensor<f64> {
        nn::initialization::uniform(device, shape, limit, args.seed, stream)
    };
    let shapes = variant.config.parameters();
    let stream_of = |name: &str| shapes.iter().position(|(n, _)| *n == name).unwrap_or(0);
    let decoder = Decoder::from_parameters(variant.config.clone(), device, |name| {
        let at = stream_of(name);
        Some(uniform(&shapes[at].1, WEIGHT_LIMIT, at as u64))
    })
    .expect("shapes are the configuration's own");
    let features = match variant.config.reads_regions() {
        true => uniform(&[3, REGIONS, FEATURE], 1.0, 1000),
        false => uniform(&[3, FEATURE], 1.0, 1000),
    };
    let objective = Objective {
        weights: None,
        smoothing: 0.0,
    };
    let batch = Sentences {
        image_of: &IMAGE_OF,
        live: &LIVE,
        inputs: &INPUTS,
        targets: &TARGETS,
    };
    let dropout = match variant.drop {
        (0.0, 0.0) => Dropout::Off,
        (encoder, decoder) => Dropout::Random {
            seed: args.seed,
            step: 0,
            encoder,
            decoder,
        },
    };
    let found = decoder.loss(&features, &batch, objective, &dropout, true);
    // Less the loss where we stand, word by word: a constant that changes no difference, but the
    // rounding of a small sum is small.
    let loss = |parameters: &Parameters<f64>| {
        let moved = Decoder::from_parameters(variant.config.clone(), device, |name| {
            Some(parameters.value(name).clone())
        })
        .expect("the same parameters");
        let words = moved
            .loss(&features, &batch, objective, &dropout, false)
            .words;
        words
            .iter()
            .zip(&found.words)
            .map(|(now, before)| now - before)
            .sum()
    };
    let per_parameter = match args.per_parameter {
        0 => usize::MAX,
        n => n,
    };
    nn::gradcheck::check(decoder.parameters(), &found.gradients, per_parameter, loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_is_packed_and_ragged() {
        assert_eq!(LIVE.iter().sum::<usize>(), INPUTS.len());
        assert!(LIVE.is_sorted_by(|a, b| a >= b));
        assert_eq!(TARGETS.iter().filter(|&&w| w == 0).count(), LIVE[0]);
        assert!(INPUTS[..LIVE[0]].iter().all(|&w| w == 0));
        // Every later input is the target of the step before, of the sentences still alive.
        let (mut step, mut before) = (LIVE[0], 0);
        for pair in LIVE.windows(2) {
            let inputs = &INPUTS[step..step + pair[1]];
            let targets = &TARGETS[before..before + pair[0]];
            let alive: Vec<u32> = targets.iter().copied().filter(|&w| w != 0).collect();
            assert_eq!(inputs, alive);
            (before, step) = (step, step + pair[1]);
        }
    }

    #[test]
    fn twenty_variants_pass_and_an_impossible_tolerance_fails() {
        let mut args = Args {
            tolerance: 1e-6,
            per_parameter: 5,
            seed: 1,
            json: false,
        };
        let mut out = Vec::new();
        assert_eq!(run(&args, &mut out).unwrap(), Exit::Done);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("20 variants, 196 parameters"), "{text}");
        assert!(text.contains("all gradients are right"), "{text}");
        args.tolerance = 1e-30;
        let mut out = Vec::new();
        assert_eq!(run(&args, &mut out).unwrap(), Exit::Partial);
        assert!(String::from_utf8(out).unwrap().contains("WRONG"));
    }
}

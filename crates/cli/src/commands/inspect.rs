//! `neuraltalk inspect`: what is in a checkpoint, without running it.

use std::io::Write;
use std::path::PathBuf;

use checkpoint::{ArrayDescription, Description, EncoderDescription};
use models::DecoderConfig;

use crate::exit::Exit;
use crate::place;

/// Show what is in a checkpoint
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  neuraltalk inspect runs/flickr8k-baseline-1/best.safetensors
  neuraltalk inspect model.p --json | jq .scores")]
pub(crate) struct Args {
    /// A checkpoint: .safetensors, NeuralTalk's .p, or a run's folder for its best
    #[arg(value_name = "FILE", value_parser = place::checkpoint())]
    file: PathBuf,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Print the whole vocabulary, one word a line in the order of their indices, and nothing else
    #[arg(long, conflicts_with = "json")]
    words: bool,
}

/// Prints the description.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let checkpoint = checkpoint::load_any(&args.file)?;
    if args.words {
        for word in &checkpoint.words {
            writeln!(out, "{word}")?;
        }
        return Ok(Exit::Done);
    }
    let description = checkpoint::inspect(&checkpoint);
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&description)?)?,
        false => table(&description, out)?,
    }
    Ok(Exit::Done)
}

/// `lstm (D 4096, E 256, H 256, V 2538, tanhC 0)`.
pub(crate) fn generator(config: &DecoderConfig) -> String {
    match config {
        DecoderConfig::Lstm(c) => format!(
            "lstm (D {}, E {}, H {}, V {}, tanhC {})",
            c.feature,
            c.embedding,
            c.hidden,
            c.vocabulary,
            u8::from(c.tanh_c)
        ),
        DecoderConfig::Rnn(c) => format!(
            "rnn (D {}, E {}, H {}, V {}, relu encoders {}, feed once {})",
            c.feature,
            c.embedding,
            c.hidden,
            c.vocabulary,
            u8::from(c.relu_encoders),
            u8::from(c.feed_once)
        ),
        DecoderConfig::Attention(c) => format!(
            "attention (D {}, P {}, E {}, H {}, A {}, V {})",
            c.feature, c.projection, c.embedding, c.hidden, c.attention, c.vocabulary
        ),
    }
}

/// `efficientnet-lite0 (3371952 numbers), pictures of 224 pixels`.
fn encoder_line(encoder: &EncoderDescription) -> String {
    format!(
        "{} ({} numbers), pictures of {} pixels",
        encoder.about.config, encoder.number_count, encoder.about.preprocessing.size
    )
}

fn table(about: &Description, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "generator    {}", generator(&about.decoder))?;
    writeln!(
        out,
        "features     {} ({} numbers a picture)",
        about.features.name, about.features.dimension
    )?;
    if let Some(encoder) = &about.encoder {
        writeln!(out, "encoder      {}", encoder_line(encoder))?;
    }
    writeln!(out, "dataset      {}", about.dataset)?;
    writeln!(
        out,
        "trained      {} steps, {:.2} epochs{}",
        about.iteration,
        about.epoch,
        match about.resumable {
            true => ", can be resumed",
            false => "",
        }
    )?;
    for (name, score) in &about.scores {
        writeln!(out, "{name:<12} {score:.6}")?;
    }
    writeln!(
        out,
        "vocabulary   {} words: {} ...",
        about.vocabulary_size,
        about.first_words.join(" ")
    )?;
    arrays("parameters", about.parameter_count, &about.parameters, out)?;
    if !about.optimizer.is_empty() {
        let numbers = about
            .optimizer
            .iter()
            .map(|a| a.shape.iter().product::<usize>())
            .sum();
        arrays("optimizer", numbers, &about.optimizer, out)?;
    }
    writeln!(out, "options")?;
    let width = about.params.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in &about.params {
        writeln!(out, "  {name:<width$}  {value}")?;
    }
    Ok(())
}

fn arrays(
    title: &str,
    numbers: usize,
    all: &[ArrayDescription],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let title = format!("{title} ({numbers} numbers)");
    writeln!(
        out,
        "{title:<33}  {:>13}  {:>10}  {:>10}  {:>10}  {:>10}",
        "shape", "mean", "std", "min", "max"
    )?;
    for array in all {
        let shape: Vec<String> = array.shape.iter().map(usize::to_string).collect();
        writeln!(
            out,
            "  {:<31}  {:>13}  {:>10.3e}  {:>10.3e}  {:>10.3e}  {:>10.3e}{}",
            array.name,
            shape.join(" x "),
            array.mean,
            array.std,
            array.min,
            array.max,
            match array.non_finite {
                0 => String::new(),
                n => format!("  {n} NOT FINITE"),
            }
        )?;
    }
    Ok(())
}

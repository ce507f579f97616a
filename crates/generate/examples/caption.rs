//! Captions of pictures: `cargo run --release -p neuraltalk-generate --example caption -- MODEL PICTURE ...`.
//!
//! MODEL is a checkpoint with its encoder inside (`neuraltalk export --encoder` makes one).

use std::path::PathBuf;
use std::process::ExitCode;

use generate::{CaptionError, Captioner, Options, Source};
use tensor::Device;

fn main() -> Result<ExitCode, CaptionError> {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(model), pictures) = (words.next(), words.by_ref().collect::<Vec<_>>()) else {
        eprintln!("usage: caption MODEL PICTURE ...");
        return Ok(ExitCode::from(2));
    };
    let captioner = Captioner::load(model, &Device::cpu(0))?;
    let options = Options {
        beam_size: 5,
        n_best: 3,
        ..Options::default()
    };
    let sources: Vec<Source<'_>> = pictures.iter().map(Source::from).collect();
    let mut exit = ExitCode::SUCCESS;
    // Answers come as soon as they are there; a picture that doesn't decode stops no other.
    captioner.caption_each(&sources, &options, |place, captions| {
        println!("{}", pictures[place].display());
        match captions {
            Ok(captions) => {
                for caption in captions {
                    println!("  {:8.3}  {}", caption.log_prob, caption.text);
                }
            }
            Err(error) => {
                println!("  {error}");
                exit = ExitCode::FAILURE;
            }
        }
        Ok::<_, CaptionError>(())
    })?;
    Ok(exit)
}

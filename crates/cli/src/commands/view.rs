//! `neuraltalk view`: captions beside their pictures, in the browser or as one HTML file.
//!
//! Here: which files, where it is served or written. Not here: reading results, the page
//! (`web::view`).

use std::io::Write;
use std::path::PathBuf;

use web::view::{self, Pictures};

use crate::address::AddressArgs;
use crate::exit::{Exit, cannot};

/// Look at captions beside their pictures in the browser
#[derive(clap::Args)]
#[command(after_help = "\
Reads result_struct.json (eval, predict, NeuralTalk), vis.json (NeuralTalk2) and what caption
--json prints. Two files are compared picture by picture. Pictures are looked for in --pictures,
beside the file, and in the dataset that it names.

Examples:
  neuraltalk view result_struct.json
  neuraltalk view old.json new.json --pictures data/flickr8k
  neuraltalk view result_struct.json --html captions.html --embed")]
pub(crate) struct Args {
    /// A result file, or two to compare
    #[arg(value_name = "FILES", required = true, num_args = 1..=2)]
    files: Vec<PathBuf>,

    /// Where the pictures are; may be given several times
    #[arg(short, long, value_name = "FOLDER")]
    pictures: Vec<PathBuf>,

    /// Write the page to this file, which opens without a server, instead of serving it
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// With --html: the pictures in the file too, instead of links to them
    #[arg(long, requires = "html")]
    embed: bool,

    #[command(flatten)]
    address: AddressArgs,
}

/// Writes or serves.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let results: Result<Vec<_>, _> = args.files.iter().map(|file| view::load(file)).collect();
    let results = results?;
    if let Some(file) = &args.html {
        return export(args, &results, file, out);
    }
    let server = args.address.bind()?;
    let guard = args.address.guard(&server);
    let router = view::router(results, args.pictures.clone(), guard);
    args.address.say(&server, "the viewer", out)?;
    server.run(router, web::Timing::default(), &web::Stop::default())?;
    Ok(Exit::Done)
}

fn export(
    args: &Args,
    results: &[view::Results],
    file: &std::path::Path,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let pictures = match args.embed {
        true => Pictures::Embed,
        false => Pictures::Link,
    };
    let (page, missing) = view::export(results, &args.pictures, file, pictures);
    checkpoint::replace(&mut checkpoint::LocalDisk, file, |out| {
        out.write_all(page.as_bytes())
    })
    .map_err(cannot("write", file))?;
    writeln!(out, "wrote {}", file.display())?;
    if 0 < missing {
        let all: usize = results.iter().map(view::Results::len).sum();
        eprintln!(
            "{missing} of {all} pictures were not found: --pictures FOLDER says where they are"
        );
    }
    Ok(Exit::Done)
}

//! `neuraltalk predict`: captions for a folder of pictures with stored features.
//!
//! Source: NeuralTalk's `predict_on_images.py`: line n of `tasks.txt` names the picture of column
//! n of `vgg_feats.mat`; results go to `result_struct.json` and `result.html` in the same folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use data::Features;
use generate::BeamOptions;
use report::{Candidate, ImageBlob, ResultStruct};
use serde_json::json;

use crate::captions;
use crate::device::DeviceArgs;
use crate::exit::{Exit, Failure, cannot};
use crate::model::Model;
use crate::place;

/// Caption a folder of pictures with stored features
#[derive(clap::Args)]
#[command(after_help = "\
DIR holds tasks.txt (file names, one a line) and vgg_feats.mat (one column for each of them).
Writes result_struct.json and result.html beside them.

Examples:
  neuraltalk predict model.p --root-path example_images
  neuraltalk predict best.safetensors --root-path photos --beam-size 5 --json")]
pub(crate) struct Args {
    /// A checkpoint: .safetensors, NeuralTalk's .p, or a run's folder for its best
    #[arg(value_name = "CHECKPOINT", value_parser = place::checkpoint())]
    checkpoint: PathBuf,

    /// Folder with tasks.txt and vgg_feats.mat
    #[arg(short, long, value_name = "DIR", default_value = "example_images")]
    root_path: PathBuf,

    /// Stored features [default: vgg_feats.mat in the folder]
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,

    /// Partial sentences kept for each picture; 1 is greedy
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = super::beam_size)]
    beam_size: usize,

    /// Print one JSON object a picture instead of a table
    #[arg(long, conflicts_with = "verbose")]
    json: bool,

    /// Print as predict_on_images.py does
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

/// Captions, prints, writes the two files.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let device = args.device.open()?;
    let model = Model::load(&args.checkpoint, &device)?;
    let root = &args.root_path;
    let features = match &args.features {
        Some(file) => Features::open(file)?,
        None => Features::open(root.join(place::FEATURES))?,
    };
    model.check_features(&features)?;
    let names = tasks(&root.join("tasks.txt"), &features)?;
    let rows: Vec<&[f32]> = (0..)
        .take(features.len())
        .filter_map(|imgid| features.row(imgid))
        .collect();
    let written = captions::write(&model, &rows, &BeamOptions::new(args.beam_size), |_| ())?;
    let imgblobs = names
        .into_iter()
        .zip(written)
        .map(|(img_path, caption)| ImageBlob {
            imgid: None,
            references: None,
            img_path,
            candidate: Candidate {
                text: caption.text,
                logprob: caption.log_prob,
            },
        });
    let result = ResultStruct {
        checkpoint_params: model.checkpoint.params.clone(),
        imgblobs: imgblobs.collect(),
        params: params(args),
        gtppl: None,
    };
    print(args, &result, out)?;
    report::write_result_struct(&root.join("result_struct.json"), &result)?;
    report::write_html(&root.join("result.html"), &result)?;
    if args.verbose {
        let root = root.display();
        writeln!(out, "writing predictions to {root}/result_struct.json...")?;
        writeln!(out, "writing html result file to {root}/result.html...")?;
    } else if !args.json {
        writeln!(
            out,
            "written to {0}/result_struct.json and {0}/result.html",
            root.display()
        )?;
    }
    Ok(Exit::Done)
}

/// The command line under NeuralTalk's names.
fn params(args: &Args) -> serde_json::Map<String, serde_json::Value> {
    let serde_json::Value::Object(params) = json!({
        "beam_size": args.beam_size,
        "checkpoint_path": args.checkpoint.to_string_lossy(),
        "root_path": args.root_path.to_string_lossy(),
    }) else {
        unreachable!("an object literal")
    };
    params
}

/// File names, one for each column of the features.
fn tasks(path: &Path, features: &Features) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(cannot("read", path))?;
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    // An empty line at the end is how many editors end a file.
    while names.last().is_some_and(|name| name.trim().is_empty()) {
        names.pop();
    }
    if names.len() != features.len() {
        return Err(Failure::data(format!(
            "`{}` names {} pictures, `{}` has vectors of {}",
            path.display(),
            names.len(),
            features.name(),
            features.len()
        ))
        .hint("line n of tasks.txt belongs to column n of the features: extract them again")
        .into());
    }
    Ok(names)
}

fn print(args: &Args, result: &ResultStruct, out: &mut dyn Write) -> anyhow::Result<()> {
    let count = result.imgblobs.len();
    let width = result
        .imgblobs
        .iter()
        .map(|b| b.img_path.chars().count())
        .max()
        .unwrap_or(0);
    for (n, blob) in result.imgblobs.iter().enumerate() {
        let (path, Candidate { text, logprob }) = (&blob.img_path, &blob.candidate);
        if args.verbose {
            writeln!(out, "image {n}/{count}:\nPRED: ({logprob:.6}) {text}")?;
        } else if args.json {
            let line = json!({"img_path": path, "caption": text, "log_prob": logprob});
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{path:<width$}  {text}  ({logprob:.2})")?;
        }
    }
    Ok(())
}

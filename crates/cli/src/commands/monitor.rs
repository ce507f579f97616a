//! `neuraltalk monitor`: the page that shows training runs while they run.
//!
//! Here: the address and the folders. Not here: the page and what it reads (`web::monitor`).

use std::io::Write;
use std::path::PathBuf;

use crate::address::AddressArgs;
use crate::exit::Exit;

/// Watch training runs in the browser
#[derive(clap::Args)]
#[command(after_help = "\
Shows every run that is found in the folders, and new ones as they appear: progress, curves,
captions of the last validation, parameters. NeuralTalk's status/*.json files are read too. Runs
are only read; Ctrl-C ends the page, not them. --json prints what the page shows at this moment.

Examples:
  neuraltalk monitor
  neuraltalk monitor runs /mnt/cluster/runs old/status --port 9000
  neuraltalk monitor runs --json")]
pub(crate) struct Args {
    /// Folders that hold runs, at any depth, or single status files
    #[arg(value_name = "RUNS", default_value = "runs")]
    runs: Vec<PathBuf>,

    /// Print the runs as they are now as JSON, without a page
    #[arg(long, conflicts_with_all = ["host", "port"])]
    json: bool,

    #[command(flatten)]
    address: AddressArgs,
}

/// Serves until Ctrl-C, or prints once.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let missing: Vec<_> = args.runs.iter().filter(|runs| !runs.exists()).collect();
    if args.json {
        writeln!(out, "{:#}", web::monitor::now(args.runs.clone()))?;
        for missing in &missing {
            eprintln!("`{}` isn't there", missing.display());
        }
        return Ok(match missing.is_empty() {
            true => Exit::Done,
            false => Exit::Partial,
        });
    }
    let server = args.address.bind()?;
    for missing in missing {
        eprintln!("`{}` isn't there yet: waiting for it", missing.display());
    }
    let stop = web::Stop::default();
    let guard = args.address.guard(&server);
    let router = web::monitor::router(args.runs.clone(), guard, &stop);
    args.address.say(&server, "the monitor", out)?;
    server.run(router, web::Timing::default(), &stop)?;
    Ok(Exit::Done)
}

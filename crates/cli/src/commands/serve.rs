//! `neuraltalk serve`: captions over HTTP, and the page that asks for them.
//!
//! Here: the model, the limits, the key, where the log goes. Not here: the service (`web::serve`).

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data::picture::DecodeLimits;
use generate::Captioner;
use web::serve::{self, Config};

use crate::address::AddressArgs;
use crate::bundled;
use crate::device::DeviceArgs;
use crate::exit::{Exit, Failure, cannot};
use crate::place;

/// Where a key may be instead of in a file.
const KEY: &str = "NEURALTALK_API_KEY";

/// Caption pictures over HTTP: a page, an API, OpenAI's API
#[derive(clap::Args)]
#[command(after_help = "\
The page is at /, the API's description at /docs. Programs that are made for OpenAI's API take
ADDRESS/v1 as their base URL. Ctrl-C (or SIGTERM) answers what is in flight and ends. With a
key, every request of the API needs the header `Authorization: Bearer KEY`; several keys are
several lines of the file. Nothing is fetched from anywhere without --allow-fetch, and no page
of another site may use the answers without --allow-origin.

Examples:
  neuraltalk serve
  neuraltalk serve --checkpoint best.safetensors --host 0.0.0.0 --api-key-file key.txt
  curl --data-binary @photo.jpg 'http://127.0.0.1:8080/v1/caption?n=3'")]
pub(crate) struct Args {
    /// The model, a file or a run's folder; several are an ensemble [default: $NEURALTALK_MODEL, else the bundled one]
    #[arg(short, long, value_name = "FILE", value_parser = place::checkpoint())]
    checkpoint: Vec<PathBuf>,

    /// The encoder's weights, for a checkpoint that holds none
    #[arg(short, long, value_name = "FILE")]
    encoder: Option<PathBuf>,

    #[command(flatten)]
    address: AddressArgs,

    /// Ask for a key, one of this file's lines [default: $NEURALTALK_API_KEY, else no key]
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    api_key_file: Option<PathBuf>,

    /// A site whose pages may use the answers, such as https://photos.example
    #[arg(long, value_name = "ORIGIN", help_heading = "Access")]
    allow_origin: Vec<String>,

    /// A host that pictures may be fetched from, where a request names an address
    #[arg(long, value_name = "HOST", help_heading = "Access")]
    allow_fetch: Vec<String>,

    /// Pictures that may wait; more are answered 429
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Limits")]
    queue: u32,

    /// Pictures captioned together at most
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Limits")]
    batch: u32,

    /// Largest request in MB
    #[arg(long, value_name = "MB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Limits")]
    max_body: u32,

    /// Largest picture in megapixels
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100.0,
        help_heading = "Limits"
    )]
    max_megapixels: f64,

    /// Seconds that a request may take
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600), help_heading = "Limits")]
    timeout: u32,

    /// What the log on standard error looks like [default: text on a terminal, else json]
    #[arg(long, value_enum, help_heading = "Output")]
    log: Option<Log>,

    #[command(flatten)]
    device: DeviceArgs,
}

/// Forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Log {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
    /// Warnings and errors only.
    Quiet,
}

/// Serves until Ctrl-C.
pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let keys = keys(args.api_key_file.as_deref())?;
    let server = args.address.bind()?;
    let device = args.device.open()?;
    let models = bundled::models(&args.checkpoint)?;
    let captioner = Captioner::load_all(&models, args.encoder.as_deref(), &device)?;
    let names = models.iter().map(|path| name(path)).collect::<Vec<_>>();
    let mut guard = args.address.guard(&server);
    guard.origins = args.allow_origin.clone();
    if keys.is_empty() && !guard.loopback {
        eprintln!("anybody who reaches this address may use it: --api-key-file asks for a key");
    }
    let config = Config {
        model: names.join("+"),
        keys,
        guard,
        queue: args.queue as usize,
        batch: args.batch as usize,
        body_bytes: (args.max_body as usize) << 20,
        decode: DecodeLimits {
            max_pixels: (args.max_megapixels * 1e6) as u64,
            ..Config::default().decode
        },
        time: Duration::from_secs(args.timeout.into()),
        fetch: args.allow_fetch.clone(),
        ..Config::default()
    };
    start_log(args.log);
    let stop = web::Stop::default();
    let router = serve::router(Arc::new(captioner), config, &stop);
    args.address.say(&server, "the captioning page", out)?;
    server.run(router, web::Timing::default(), &stop)?;
    Ok(Exit::Done)
}

/// A model's name is its file's.
fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}

/// Lines of the file, or the variable's value; neither is ever printed.
fn keys(file: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(cannot("read", path))?,
        None => std::env::var(KEY).unwrap_or_default(),
    };
    let lines = text.lines().map(str::trim);
    let keys: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    match (keys.is_empty(), file) {
        // Whoever names a file wants a key: an empty one must not open the door.
        (true, Some(path)) => Err(Failure::data(format!("`{}` holds no key", path.display()))
            .hint("write one key a line, for example of: openssl rand -hex 24")
            .into()),
        _ => Ok(keys),
    }
}

fn start_log(form: Option<Log>) {
    use tracing_subscriber::fmt;
    let usual = match std::io::stderr().is_terminal() {
        true => Log::Text,
        false => Log::Json,
    };
    let log = fmt().with_writer(std::io::stderr).with_target(false);
    // Only a second start in one process could fail, and there is none.
    let _ = match form.unwrap_or(usual) {
        Log::Text => log.with_max_level(tracing::Level::INFO).try_init(),
        Log::Json => log
            .with_max_level(tracing::Level::INFO)
            .json()
            .flatten_event(true)
            .try_init(),
        Log::Quiet => log.with_max_level(tracing::Level::WARN).try_init(),
    };
}

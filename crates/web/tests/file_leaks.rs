//! No request, and no file of results or of a run, brings a file out that is none of its pictures.

mod ask;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ask::{get, get_with};
use axum::Router;
use data::picture::PictureError;
use generate::{CaptionError, Options, Sentence};
use serde_json::json;
use web::serve::{Caption, Config};
use web::{Guard, Stop};

const SECRET: &str = "the secret of this test";

/// Ways out of a folder that servers have fallen for; `{}` is the file that must not be seen.
const PATHS: [&str; 26] = [
    "{}",
    "/{}",
    "/assets/{}",
    "/assets/..{}",
    "/assets/../../../../../../../../{}",
    "/assets/..%2f..%2f..%2f..%2f..%2f..%2f{}",
    "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{}",
    "/assets/%2e%2e%2f%2e%2e%2f%2e%2e%2f{}",
    "/assets/%252e%252e%252f%252e%252e%252f{}",
    "/assets/..%5c..%5c..%5c{}",
    "/assets/..;/..;/..;/{}",
    "/assets/....//....//....//{}",
    "/assets/%c0%ae%c0%ae/%c0%ae%c0%ae/{}",
    "/assets/style.css%00{}",
    "/assets/style.css/../../..{}",
    "/assets/monitor/../../..{}",
    "/assets/file:%2f%2f{}",
    "/api/picture?run={}&n=0",
    "/api/picture?run=..%2f..%2f{}&n=0",
    "/api/picture?file={}&n=0",
    "/api/picture?file=0&n={}",
    "/api/picture?file=0&n=0&path={}",
    "/api/picture?file=-1&n=0",
    "/api/curves?run={}",
    "/api/samples?run={}",
    "/v1/models/{}",
];

/// Says nothing: no request here comes so far.
struct Mute;

impl Caption for Mute {
    fn caption(
        &self,
        pictures: &[&[u8]],
        _: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError> {
        Ok(pictures.iter().map(|_| Ok(Vec::new())).collect())
    }
}

/// The three faces over a folder with results and a run that name what they must not show.
fn faces(folder: &Path, stop: &Stop) -> [(&'static str, Router); 3] {
    let names = named(folder);
    let blobs: Vec<_> = names
        .iter()
        .map(|name| json!({"img_path": name, "candidate": {"text": "x", "logprob": -1.0}}))
        .collect();
    let results = folder.join("results/result_struct.json");
    fs::create_dir_all(folder.join("results")).expect("folders");
    let text = json!({"imgblobs": blobs, "params": {}, "checkpoint_params": {}}).to_string();
    fs::write(&results, text).expect("written");
    let results = web::view::load(&results).expect("a result");
    let samples: Vec<_> = names
        .iter()
        .map(|name| json!({"imgid": 1, "path": name, "caption": "x", "log_prob": -1.0}))
        .collect();
    let run = folder.join("runs/one");
    fs::create_dir_all(&run).expect("folders");
    fs::write(run.join("config.toml"), format!("dataset = {folder:?}\n")).expect("written");
    let evaluated = json!({"event": "evaluated", "iteration": 1, "epoch": 0.1, "ppl2": 9.0, "scores": {}, "samples": samples});
    fs::write(run.join("events.jsonl"), format!("{evaluated}\n")).expect("written");
    let config = Config::default();
    [
        ("serve", web::serve::router(Arc::new(Mute), config, stop)),
        (
            "view",
            web::view::router(vec![results], vec![folder.into()], Guard::default()),
        ),
        (
            "monitor",
            web::monitor::router(vec![folder.join("runs")], Guard::default(), stop),
        ),
    ]
}

/// Names of pictures that are none: outside, absolute, behind a link, a folder, a device.
fn named(folder: &Path) -> Vec<String> {
    let secret = folder.join("secret.png");
    // A name alone makes no picture of it.
    fs::write(&secret, SECRET).expect("written");
    #[cfg(unix)]
    if !folder.join("link.png").exists() {
        std::os::unix::fs::symlink(&secret, folder.join("link.png")).expect("a link");
    }
    let own = [
        "secret.png",
        "../secret.png",
        "link.png",
        "../link.png",
        "..",
        ".",
        "",
    ];
    let others = [
        "/etc/passwd",
        "../../../../../../etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
    ];
    let names = own.iter().chain(&others).map(|name| (*name).to_owned());
    names
        .chain([secret.to_string_lossy().into_owned()])
        .collect()
}

#[tokio::test]
async fn paths_lead_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = Stop::default();
    let secret = folder.path().join("secret.png");
    for (face, router) in faces(folder.path(), &stop) {
        for secret in [&*secret.to_string_lossy(), "/etc/passwd"] {
            for path in PATHS {
                let path = path.replace("{}", secret);
                let answer = get(&router, &path).await;
                assert!(
                    (400..500).contains(&answer.status),
                    "{face} {path}: {}",
                    answer.status
                );
                let media = answer.header("content-type");
                assert!(
                    ["application/problem+json", "text/plain; charset=utf-8"].contains(&media),
                    "{face} {path}: {media}"
                );
                holds_no_secret(&answer, face, &path);
            }
        }
    }
    stop.now();
}

#[tokio::test]
async fn files_that_results_and_runs_name_are_sent_only_if_they_are_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = Stop::default();
    let count = named(folder.path()).len();
    let [_, (_, view), (_, monitor)] = faces(folder.path(), &stop);
    let run = folder
        .path()
        .join("runs/one")
        .to_string_lossy()
        .replace('/', "%2F");
    for n in 0..count {
        for (face, router, path) in [
            ("view", &view, format!("/api/picture?file=0&n={n}")),
            ("monitor", &monitor, format!("/api/picture?run={run}&n={n}")),
        ] {
            let answer = get_with(router, &path, &[("accept", "*/*")]).await;
            assert!(
                [404, 415].contains(&answer.status),
                "{face} {path}: {}",
                answer.status
            );
            holds_no_secret(&answer, face, &path);
        }
    }
    // The test can see a picture that is one.
    let picture = b"\x89PNG\r\n\x1a\nrest";
    fs::write(folder.path().join("secret.png"), picture).expect("written");
    for (router, path) in [
        (&view, "/api/picture?file=0&n=0".to_owned()),
        (&monitor, format!("/api/picture?run={run}&n=0")),
    ] {
        let answer = get(router, &path).await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &picture[..]),
            "{path}"
        );
    }
    stop.now();
}

fn holds_no_secret(answer: &ask::Answer, face: &str, path: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    let leaks = text.contains(SECRET) || text.contains("root:") || text.contains("PATH=");
    assert!(!leaks, "{face} {path} leaks");
}

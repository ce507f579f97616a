//! What the monitor answers, asked without a port.

mod ask;

use std::fs;
use std::time::Duration;

use ask::{get, get_with};
use web::{Guard, Stop};

const EVENTS: &str = r#"{"event":"started","iteration":0,"total_iterations":40,"max_epochs":2}
{"event":"step","iteration":1,"epoch":0.0,"total_cost":5.0,"ppl2":30.0,"smooth_ppl2":30.0,"learning_rate":0.001,"captions":10,"seconds":0.5}
{"event":"step","iteration":2,"epoch":0.1,"total_cost":4.0,"ppl2":20.0,"smooth_ppl2":29.9,"learning_rate":0.001,"captions":10,"seconds":0.5}
{"event":"evaluated","iteration":2,"epoch":0.1,"ppl2":18.5,"scores":{"cider":0.7},"samples":[{"imgid":1,"path":"a.png","caption":"a dog","log_prob":-2.5},{"imgid":2,"path":"../secret.txt","caption":"x","log_prob":-1}]}
"#;

/// A folder with one run whose dataset has one picture, and a file that is none of its pictures.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("runs/first");
    fs::create_dir_all(&run).expect("folders");
    let dataset = folder.path().join("data");
    fs::create_dir_all(dataset.join("imgs")).expect("folders");
    fs::write(dataset.join("imgs/a.png"), b"\x89PNG\r\n\x1a\nrest").expect("written");
    fs::write(folder.path().join("secret.txt"), "secret").expect("written");
    let config = format!("dataset = {:?}\nhidden-size = 64\n", dataset);
    fs::write(run.join("config.toml"), config).expect("written");
    fs::write(run.join("events.jsonl"), EVENTS).expect("written");
    folder
}

fn encoded(folder: &tempfile::TempDir) -> String {
    let id = folder.path().join("runs/first");
    id.to_string_lossy().replace('/', "%2F")
}

#[tokio::test]
async fn rows_curves_samples_and_pictures() {
    let folder = folder();
    let stop = Stop::default();
    let router = web::monitor::router(vec![folder.path().join("runs")], Guard::default(), &stop);
    let runs = get(&router, "/api/runs").await.json();
    let row = &runs["runs"][0];
    assert_eq!(runs["runs"].as_array().expect("a list").len(), 1);
    assert_eq!(row["state"], "running");
    assert_eq!(
        (&row["best_val_ppl"], &row["scores"]["cider"]),
        (&18.5.into(), &0.7.into())
    );
    assert_eq!(row["params"]["hidden-size"], 64);
    assert_eq!(row["eta_s"], 19.0);
    let run = encoded(&folder);
    let curves = get(&router, &format!("/api/curves?run={run}")).await.json();
    assert_eq!(curves["measures"]["loss"], serde_json::json!([5.0, 4.0]));
    let curves = get(&router, &format!("/api/curves?run={run}&from=2&points=1"))
        .await
        .json();
    assert_eq!(curves["iteration"], serde_json::json!([2.0]));
    let samples = get(&router, &format!("/api/samples?run={run}"))
        .await
        .json();
    assert_eq!(samples[0]["caption"], "a dog");
    let picture = get(&router, &format!("/api/picture?run={run}&n=0")).await;
    assert_eq!(
        (picture.status, picture.header("content-type")),
        (200, "image/png")
    );
    let tag = picture.header("etag").to_owned();
    let again = get_with(
        &router,
        &format!("/api/picture?run={run}&n=0"),
        &[("if-none-match", &tag)],
    )
    .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    // A run that names a file outside gets nothing out of it.
    let secret = get(&router, &format!("/api/picture?run={run}&n=1")).await;
    assert_eq!(secret.status, 415);
    assert!(!secret.text().contains("secret"));
    stop.now();
}

#[tokio::test]
async fn what_is_not_there_is_said_as_a_problem() {
    let folder = folder();
    let stop = Stop::default();
    let router = web::monitor::router(vec![folder.path().into()], Guard::default(), &stop);
    for path in [
        "/api/curves?run=%2Fetc",
        "/api/samples?run=..%2F..",
        "/api/picture?run=x&n=0",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e%2fCargo.toml",
        "/assets/nothing.js",
        "/nothing",
        "/api/picture?run=x&n=99999999999",
    ] {
        let answer = get(&router, path).await;
        assert!(
            [400, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    let answer = get(&router, "/nothing").await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["detail"], "there is nothing at /nothing");
    stop.now();
}

#[tokio::test]
async fn pages_come_with_a_policy_and_only_to_this_machine() {
    let stop = Stop::default();
    let guard = Guard {
        loopback: true,
        ..Guard::default()
    };
    let router = web::monitor::router(Vec::new(), guard, &stop);
    for path in [
        "/",
        "/assets/monitor.js",
        "/assets/vendor/uPlot.iife.min.js",
        "/favicon.ico",
        "/nothing",
    ] {
        let page = get(&router, path).await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
    }
    let tag = get(&router, "/assets/style.css")
        .await
        .header("etag")
        .to_owned();
    let again = get_with(&router, "/assets/style.css", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status, 304);
    let other = get_with(&router, "/", &[("host", "evil.example")]).await;
    assert_eq!(other.status, 421);
    let site = get_with(
        &router,
        "/api/runs",
        &[("host", "localhost"), ("origin", "http://evil.example")],
    )
    .await;
    assert_eq!(site.status, 403);
    stop.now();
}

/// The stream tells everything first, then changes, and ends when the server does.
#[tokio::test]
async fn events_follow_the_files() {
    use http_body_util::BodyExt;
    let folder = folder();
    let stop = Stop::default();
    let router = web::monitor::router(vec![folder.path().into()], Guard::default(), &stop);
    let mut body = ask::stream(&router, "/api/events").await;
    let mut text = String::new();
    let mut told = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while let Ok(Some(frame)) = tokio::time::timeout_at(deadline, body.frame()).await {
        let frame = frame.expect("bytes").into_data().expect("data");
        text += std::str::from_utf8(&frame).expect("text");
        told += 1;
        match told {
            1 => {
                assert!(text.contains("\"iteration\":2.0"), "{text}");
                let more = EVENTS.to_owned()
                    + "{\"event\":\"finished\",\"iteration\":2,\"reason\":\"max-epochs\",\"best\":18.5}\n";
                fs::write(folder.path().join("runs/first/events.jsonl"), more).expect("written");
            }
            _ if text.contains("\"state\":\"finished\"") => stop.now(),
            _ => {}
        }
    }
    assert!(
        tokio::time::Instant::now() < deadline,
        "the stream ended by itself"
    );
    assert!(text.contains("\"state\":\"finished\""), "{text}");
}

//! The captioning service over a model that is told what to say, asked without a port.

mod ask;

use std::sync::Arc;
use std::time::Duration;

use ask::{get, get_with, post, send};
use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use data::picture::{PictureError, decode};
use generate::{Attention, CaptionError, Options, Sentence};
use serde_json::json;
use web::Stop;
use web::serve::{Caption, Config};

/// Decodes as a real model does, and then says how large the picture is.
struct Fake {
    pause: Duration,
}

impl Caption for Fake {
    fn caption(
        &self,
        pictures: &[&[u8]],
        options: &Options,
    ) -> Result<Vec<Result<Vec<Sentence>, PictureError>>, CaptionError> {
        std::thread::sleep(self.pause);
        let one = |&bytes: &&[u8]| {
            let picture = decode(bytes, &options.decode)?;
            let sentence = |n: usize| Sentence {
                text: format!("{} by {}", picture.width, picture.height + n),
                words: vec![
                    picture.width.to_string(),
                    "by".into(),
                    (picture.height + n).to_string(),
                ],
                log_prob: -1.0 - n as f64,
                word_log_probs: vec![-0.25, -0.25, -0.25, -0.25],
                finished: n < 3,
                attention: options.attention.then(|| Attention {
                    grid: [1, 2],
                    weights: vec![0.25, 0.75, 0.5, 0.5, 1.0, 0.0],
                }),
            };
            Ok((0..options.n_best).map(sentence).collect())
        };
        Ok(pictures.iter().map(one).collect())
    }
}

fn service(config: Config) -> (Router, Stop) {
    slow_service(config, Duration::ZERO)
}

fn slow_service(config: Config, pause: Duration) -> (Router, Stop) {
    let stop = Stop::default();
    let config = Config {
        model: "toy".into(),
        ..config
    };
    (
        web::serve::router(Arc::new(Fake { pause }), config, &stop),
        stop,
    )
}

fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("a header");
    let pixels = vec![128; (width * height) as usize];
    writer.write_image_data(&pixels).expect("pixels");
    drop(writer);
    bytes
}

fn uri_of(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

const RAW: &str = "application/octet-stream";
const JSON: &str = "application/json";

#[tokio::test]
async fn one_picture_in_each_form() {
    let (router, _) = service(Config::default());
    let picture = png_of(3, 2);
    let raw = post(
        &router,
        "/v1/caption?n=2&attention=true",
        RAW,
        picture.clone(),
    )
    .await;
    assert_eq!(raw.status, 200, "{}", raw.text());
    let raw = raw.json();
    assert_eq!(raw["model"], "toy");
    let captions = &raw["results"][0]["captions"];
    assert_eq!(captions[0]["text"], "3 by 2");
    assert_eq!(captions[1]["text"], "3 by 3");
    assert_eq!(captions[0]["words"], json!(["3", "by", "2"]));
    assert_eq!(captions[0]["probability"], (-1.0f64).exp());
    assert_eq!(captions[0]["attention"]["grid"], json!([1, 2]));
    assert_eq!(
        captions[0]["attention"]["weights"],
        json!([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])
    );

    let body = json!({"image": uri_of(&picture), "n": 2, "attention": true}).to_string();
    let typed = post(&router, "/v1/caption", JSON, body).await.json();
    assert_eq!(typed["results"], raw["results"]);

    let form = form(&[
        ("image", Some("a.png"), &picture),
        ("n", None, b"2"),
        ("attention", None, b"true"),
    ]);
    let mut formed = post(&router, "/v1/caption", FORM, form).await.json();
    assert_eq!(formed["results"][0]["name"], "a.png");
    formed["results"][0]["name"] = json!(null);
    assert_eq!(formed["results"], raw["results"]);

    let plain = [("accept", "text/plain"), ("content-type", RAW)];
    let plain = send(&router, "POST", "/v1/caption", &plain, picture).await;
    assert_eq!(
        (plain.header("content-type"), plain.text().as_str()),
        ("text/plain; charset=utf-8", "3 by 2\n")
    );
}

const FORM: &str = "multipart/form-data; boundary=x1x";

fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
        body.extend(
            format!("--x1x\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
                .bytes(),
        );
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--x1x--\r\n");
    body
}

#[tokio::test]
async fn of_several_pictures_the_broken_ones_stop_nobody() {
    let (router, _) = service(Config::default());
    let (a, b) = (png_of(1, 1), png_of(2, 2));
    let body = form(&[
        ("f", Some("a"), &a),
        ("f", Some("broken"), &b[..b.len() / 2]),
        ("f", Some("text"), b"hello"),
        ("f", Some("b"), &b),
    ]);
    let answer = post(&router, "/v1/caption", FORM, body).await;
    assert_eq!(answer.status, 200);
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["captions"][0]["text"], "1 by 1");
    assert_eq!(
        (&results[1]["name"], &results[1]["error"]["status"]),
        (&json!("broken"), &json!(422))
    );
    assert_eq!(results[2]["error"]["status"], 415);
    assert!(
        results[2]["error"]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("JPEG"))
    );
    assert_eq!(results[3]["captions"][0]["text"], "2 by 2");
    let none = form(&[("f", Some("x"), b"x"), ("f", Some("y"), b"y")]);
    assert_eq!(post(&router, "/v1/caption", FORM, none).await.status, 422);
}

/// Every wrong request: a status that says whose fault it is, words, and never 5xx.
#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let config = Config {
        body_bytes: 4096,
        pictures: 3,
        ..Config::default()
    };
    let (router, _) = service(config);
    let picture = png_of(1, 1);
    let uri = uri_of(&picture);
    let four = json!({"images": [uri, uri, uri, uri]}).to_string();
    let wide = png_of_size(30_000, 30_000);
    let cases: Vec<(&str, &str, Vec<u8>, u16, &str)> = vec![
        ("", RAW, vec![], 400, "0 bytes"),
        ("", RAW, b"no picture".to_vec(), 415, "not a picture"),
        ("", RAW, picture[..40].to_vec(), 422, ""),
        ("", RAW, vec![0; 5000], 413, "4096 bytes"),
        ("", RAW, wide, 413, "pixel"),
        ("?n=0", RAW, picture.clone(), 400, "n is 0"),
        ("?beam=2", RAW, picture.clone(), 400, "no option `beam`"),
        ("?n=%00", RAW, picture.clone(), 400, "n is"),
        ("", JSON, b"{".to_vec(), 400, "EOF"),
        ("", JSON, b"[]".to_vec(), 400, "not as expected"),
        ("", JSON, b"{}".to_vec(), 400, "no picture"),
        (
            "",
            JSON,
            json!({"image": 3}).to_string().into(),
            400,
            "not as expected",
        ),
        (
            "",
            JSON,
            json!({"image": uri, "bean": 3}).to_string().into(),
            400,
            "bean",
        ),
        (
            "",
            JSON,
            json!({"image": "data:image/png,abc"}).to_string().into(),
            400,
            "base64",
        ),
        (
            "",
            JSON,
            json!({"image": "data:image/png;base64"}).to_string().into(),
            400,
            "comma",
        ),
        (
            "",
            JSON,
            json!({"image": "/etc/passwd"}).to_string().into(),
            400,
            "base64",
        ),
        (
            "",
            JSON,
            json!({"image": "file:///etc/passwd"}).to_string().into(),
            400,
            "base64",
        ),
        (
            "",
            JSON,
            json!({"image": "http://127.0.0.1/"}).to_string().into(),
            400,
            "does not fetch",
        ),
        ("", JSON, four.into(), 413, "4 pictures"),
        ("", "multipart/form-data", b"x".to_vec(), 400, "form"),
        ("", FORM, b"--x1x\r\nnonsense".to_vec(), 400, "form"),
        ("", FORM, b"--x1x--\r\n".to_vec(), 400, "no picture"),
    ];
    for (query, media, body, status, words) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = post(&router, &format!("/v1/caption{query}"), media, body).await;
        assert_eq!(answer.status, status, "{query} {shown}: {}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{shown}"
        );
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(words), "{query} {shown}: {detail}");
        assert!(!answer.header("x-request-id").is_empty());
    }
    for (method, path, status) in [
        ("GET", "/v1/caption", 405),
        ("POST", "/", 405),
        ("DELETE", "/nothing", 404),
        ("GET", "/v1/caption/../../etc/passwd", 404),
    ] {
        let answer = send(&router, method, path, &[], Body::empty()).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

/// A PNG whose header promises more than it holds.
fn png_of_size(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png_of(1, 1);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

/// A JPEG, a GIF and a WebP of 24 by 16 points, as Pillow writes them.
const JPEG: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVk\
    VGZIhlbXd7gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8\
    fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAQABgDASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABQAE/8\
    QAFxAAAwEAAAAAAAAAAAAAAAAAAAMEYf/EABYBAQEBAAAAAAAAAAAAAAAAAAQDBf/EABkRAAIDAQAAAAAAAAAAAAAA\
    AAAEAQIhA//aAAwDAQACEQMRAD8ADXJhqXJgouTDUuTCl2Ay7YUuTCHlyYQeWNNrm3h//9k=";
const GIF: &str = "R0lGODdhGAAQAIIAAKrQgDLQgKqIgDKIgKpIgKoQgDJIgDIQgCwAAAAAGAAQAEAIagAPCBxI8ECBgwgTIhzAsKHDAQ\
    IiSpwo0YDFixgNENjIsSPHACBDigwAoKTJkyYLqlTI8mDGlx5jbnxIk6LNiCNzotxZUmXBlixfZpQZUyhGoh5pPrxp\
    U6lDphRzjuS5U6pIqiithsR6MiAAOw==";
const WEBP: &str = "UklGRloAAABXRUJQVlA4IE4AAADwAwCdASoYABAAPxGCtFIsKaUisAgBgCIJbACdMoRwACm74BeAWuAAAP7kDp8oEw\
    p9Prn/62xePESaoxS/ZtwqkAVHt45KSCFKiVi+AAA=";

/// A thousand mutants of a picture in each form: an answer each, none of them 5xx.
#[tokio::test]
async fn a_thousand_mutated_pictures_of_each_form() {
    let (router, _) = service(Config::default());
    let decoded = |text: &str| STANDARD.decode(text).expect("base64");
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for (form, picture) in [
        ("PNG", png_of(40, 30)),
        ("JPEG", decoded(JPEG)),
        ("GIF", decoded(GIF)),
        ("WebP", decoded(WEBP)),
    ] {
        let whole = post(&router, "/v1/caption", RAW, picture.clone()).await;
        assert_eq!(whole.status, 200, "{form}: {}", whole.text());
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..1000 {
            let mut bytes = picture.clone();
            for _ in 0..1 + random(6) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    2 => bytes.insert(at, random(256) as u8),
                    _ => drop(bytes.remove(at)),
                }
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            let answer = post(&router, "/v1/caption", RAW, bytes).await;
            if answer.status != 200 {
                assert!(
                    answer.json()["detail"].is_string(),
                    "{form}: {}",
                    answer.text()
                );
            }
            *seen.entry(answer.status).or_insert(0) += 1;
        }
        let fine = |status: &u16| [200, 413, 415, 422].contains(status);
        assert!(seen.keys().all(fine), "{form}: {seen:?}");
        // Mutants that are all alike show nothing.
        assert!(seen.len() > 2, "{form}: {seen:?}");
    }
}

#[tokio::test]
async fn keys_guard_the_api_and_nothing_else() {
    let config = Config {
        keys: vec!["right".into()],
        ..Config::default()
    };
    let (router, _) = service(config);
    for path in [
        "/",
        "/docs",
        "/health",
        "/ready",
        "/openapi.json",
        "/assets/caption.js",
    ] {
        assert_eq!(get(&router, path).await.status, 200, "{path}");
    }
    for path in ["/v1/models", "/v1/models/toy", "/metrics"] {
        assert_eq!(get(&router, path).await.status, 401, "{path}");
        let wrong = get_with(&router, path, &[("authorization", "Bearer wrong")]).await;
        assert_eq!(
            (wrong.status, wrong.header("www-authenticate")),
            (401, "Bearer")
        );
        let right = get_with(&router, path, &[("authorization", "Bearer right")]).await;
        assert_eq!(right.status, 200, "{path}");
    }
    assert_eq!(
        post(&router, "/v1/caption", RAW, png_of(1, 1)).await.status,
        401
    );
    let chat = post(&router, "/v1/chat/completions", JSON, "{}").await;
    assert_eq!(
        (chat.status, &chat.json()["error"]["type"]),
        (401, &json!("authentication_error"))
    );
}

#[tokio::test]
async fn openais_form() {
    let (router, _) = service(Config::default());
    let uri = uri_of(&png_of(5, 4));
    let ask = |more: serde_json::Value| {
        let mut body = json!({"model": "gpt-4o", "messages": [
            {"role": "system", "content": "You describe pictures."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": uri}}]},
            {"role": "assistant", "content": null}]});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        body.to_string()
    };
    let path = "/v1/chat/completions";
    let answer = post(
        &router,
        path,
        JSON,
        ask(json!({"max_tokens": 300, "n": 2, "logprobs": true})),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": "5 by 4", "refusal": null})
    );
    assert_eq!(answer["choices"][1]["message"]["content"], "5 by 5");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        answer["choices"][0]["logprobs"]["content"][1]["token"],
        " by"
    );
    assert_eq!(answer["usage"]["completion_tokens"], 6);

    let stream = post(
        &router,
        path,
        JSON,
        ask(json!({"stream": true, "stream_options": {"include_usage": true}})),
    )
    .await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let text = stream.text();
    let data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    let chunks: Vec<serde_json::Value> = data[..data.len() - 1]
        .iter()
        .map(|d| serde_json::from_str(d).expect("JSON"))
        .collect();
    assert_eq!(data.last(), Some(&"[DONE]"));
    assert_eq!(chunks[0]["choices"][0]["delta"]["content"], "5 by 4");
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[2]["usage"]["completion_tokens"], 3);

    for (body, words) in [
        ("{}".to_owned(), "messages"),
        (json!({"messages": []}).to_string(), "image_url"),
        (
            json!({"messages": [{"role": "user", "content": "hi"}]}).to_string(),
            "image_url",
        ),
        (ask(json!({"n": 100})), "n is 100"),
        (ask(json!({"temperature": -1})), "temperature"),
    ] {
        let answer = post(&router, path, JSON, body).await;
        assert_eq!(answer.status, 400);
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(words), "{message}");
    }
    let models = get(&router, "/v1/models").await.json();
    assert_eq!(models["data"][0]["id"], "toy");
}

/// Ten times what the queue takes: answers or 429, and everything is as before afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn past_the_queue_is_429_and_it_recovers() {
    let config = Config {
        queue: 8,
        ..Config::default()
    };
    let (router, _) = slow_service(config, Duration::from_millis(20));
    let picture = Bytes::from(png_of(2, 2));
    let tasks: Vec<_> = (0..80)
        .map(|_| {
            let (router, picture) = (router.clone(), picture.clone());
            tokio::spawn(async move { post(&router, "/v1/caption", RAW, picture).await })
        })
        .collect();
    let (mut good, mut refused) = (0, 0);
    for task in tasks {
        let answer = task.await.expect("no panic");
        match answer.status {
            200 => good += 1,
            429 => {
                refused += 1;
                assert!(
                    answer
                        .header("retry-after")
                        .parse::<u64>()
                        .is_ok_and(|s| s >= 1)
                );
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(
        good >= 8 && refused > 0,
        "{good} answered, {refused} refused"
    );
    assert_eq!(get(&router, "/ready").await.json()["queued"], 0);
    assert_eq!(post(&router, "/v1/caption", RAW, picture).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_a_time_limit_and_a_body_too() {
    let config = Config {
        time: Duration::from_millis(50),
        body_time: Duration::from_millis(300),
        ..Config::default()
    };
    let (router, _) = slow_service(config, Duration::from_millis(400));
    let late = post(&router, "/v1/caption", RAW, png_of(1, 1)).await;
    assert_eq!((late.status, late.header("retry-after")), (503, "1"));
    let drip = futures_util::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(80)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), n + 1))
    });
    let start = std::time::Instant::now();
    let slow = post(&router, "/v1/caption", RAW, Body::from_stream(drip)).await;
    assert_eq!(slow.status, 408, "{}", slow.text());
    assert!(start.elapsed() < Duration::from_secs(3));
    let stalled = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let stalled = post(&router, "/v1/caption", RAW, Body::from_stream(stalled)).await;
    assert_eq!(stalled.status, 408);
}

#[tokio::test]
async fn bodies_have_a_share_of_memory() {
    let config = Config {
        body_bytes: 1 << 20,
        memory_bytes: 1 << 20,
        ..Config::default()
    };
    let (router, _) = service(config);
    // A length that is not stated counts as the largest.
    let endless =
        |_: ()| Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = post(&router, "/v1/caption", RAW, endless(())).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    let length = png_of(1, 1);
    let stated = [
        ("content-length", &*length.len().to_string()),
        ("content-type", RAW),
    ];
    assert_eq!(
        send(&router, "POST", "/v1/caption", &stated, length.clone())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn numbers_and_readiness() {
    let (router, stop) = service(Config::default());
    post(&router, "/v1/caption", RAW, png_of(1, 1)).await;
    post(&router, "/v1/caption", RAW, "x").await;
    get(&router, "/nothing/1").await;
    let text = get(&router, "/metrics").await.text();
    for line in [
        "neuraltalk_requests_total{route=\"/v1/caption\",method=\"POST\",status=\"200\"} 1",
        "neuraltalk_requests_total{route=\"/v1/caption\",method=\"POST\",status=\"415\"} 1",
        "neuraltalk_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "neuraltalk_request_seconds_count{route=\"/v1/caption\"} 2",
        "neuraltalk_batch_pictures_count 2",
        "neuraltalk_pictures_captioned_total 1",
        "neuraltalk_pictures_unreadable_total 1",
        "neuraltalk_queue_pictures 0",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(get(&router, "/ready").await.status, 200);
    stop.now();
    assert_eq!(get(&router, "/ready").await.status, 503);
    assert_eq!(get(&router, "/health").await.status, 200);
    let own = get_with(&router, "/health", &[("x-request-id", "mine-1")]).await;
    assert_eq!(own.header("x-request-id"), "mine-1");
}

#[tokio::test]
async fn other_sites_need_a_permission() {
    let config = Config {
        guard: web::Guard {
            origins: vec!["https://photos.example".into()],
            ..web::Guard::default()
        },
        ..Config::default()
    };
    let (router, _) = service(config);
    let from = |origin| {
        [
            ("host", "captions.example"),
            ("origin", origin),
            ("content-type", RAW),
        ]
    };
    let evil = send(
        &router,
        "POST",
        "/v1/caption",
        &from("https://evil.example"),
        png_of(1, 1),
    )
    .await;
    assert_eq!(
        (evil.status, evil.header("access-control-allow-origin")),
        (403, "")
    );
    let good = send(
        &router,
        "POST",
        "/v1/caption",
        &from("https://photos.example"),
        png_of(1, 1),
    )
    .await;
    assert_eq!(
        (good.status, good.header("access-control-allow-origin")),
        (200, "https://photos.example")
    );
    let asked = [
        ("host", "captions.example"),
        ("origin", "https://photos.example"),
        ("access-control-request-method", "POST"),
    ];
    let preflight = send(&router, "OPTIONS", "/v1/caption", &asked, Body::empty()).await;
    assert_eq!(
        (
            preflight.status,
            preflight.header("access-control-allow-headers")
        ),
        (204, "authorization, content-type")
    );
}

/// Every path that is described is there, and every one that is there is described.
#[tokio::test]
async fn the_description_is_true() {
    let (router, _) = service(Config::default());
    let described = get(&router, "/openapi.json").await.json();
    for (path, methods) in described["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let path = path.replace("{model}", "toy");
            let answer = send(&router, &method.to_uppercase(), &path, &[], Body::empty()).await;
            assert!(
                ![404, 405].contains(&answer.status),
                "{method} {path}: {}",
                answer.status
            );
        }
    }
    let metrics = get(&router, "/metrics").await.text();
    let routes = metrics
        .lines()
        .filter_map(|line| line.split("route=\"").nth(1)?.split('"').next());
    for route in routes {
        assert!(
            described["paths"].get(route).is_some(),
            "{route} is not described"
        );
    }
    let options = described["paths"]["/v1/caption"]["post"]["parameters"]
        .as_array()
        .expect("options");
    for option in options {
        let name = option["name"].as_str().expect("a name");
        let path = format!("/v1/caption?{name}=nonsense");
        let detail = post(&router, &path, RAW, png_of(1, 1)).await.json()["detail"].to_string();
        assert!(detail.contains(&format!("{name} is")), "{name}: {detail}");
    }
}

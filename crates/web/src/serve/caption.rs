//! `POST /v1/caption`: pictures in, sentences with probabilities out.
//!
//! Three forms: the bytes of one file; `multipart/form-data` with any number of files, and options as
//! fields; JSON with `image` or `images` (data URIs) and options. The answer has one entry a picture,
//! in order. `Accept: text/plain` gives the best captions, one a line.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Body};
use bytes::Bytes;
use generate::Sentence;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Ask, NAMES};
use super::queue::Outcome;
use super::{Service, picture};
use crate::Problem;

/// A picture with the name that its client gave it.
struct Named {
    name: Option<String>,
    bytes: Bytes,
}

/// The body in its JSON form.
#[derive(Deserialize)]
struct Typed {
    image: Option<String>,
    images: Option<Vec<String>>,
    #[serde(flatten)]
    ask: serde_json::Map<String, Value>,
}

pub(crate) async fn post(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, Problem> {
    let start = Instant::now();
    let (head, body) = request.into_parts();
    let held = service.read(&head.headers, body).await?;
    let query = head.uri.query().unwrap_or("");
    let mut ask = Ask::from_query(query)?;
    let plain = accepts_plain(&head.headers);
    let pictures = match media(&head.headers) {
        "multipart/form-data" => service.form(head, &mut ask, held.bytes.clone()).await?,
        "application/json" => service.typed(&mut ask, &held.bytes).await?,
        _ => vec![Named {
            name: None,
            bytes: held.bytes.clone(),
        }],
    };
    let names: Vec<Option<String>> = pictures.iter().map(|p| p.name.clone()).collect();
    let pictures = pictures.into_iter().map(|picture| picture.bytes).collect();
    let outcomes = service.captions(pictures, &ask).await?;
    // One picture, one answer: its problem is the request's.
    if let [Err(problem)] = &outcomes[..] {
        return Err(problem.clone());
    }
    if outcomes.iter().all(Result::is_err) {
        let detail = format!("none of the {} pictures could be captioned", outcomes.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    if plain {
        return Ok(lines(&outcomes).into_response());
    }
    let results: Vec<Value> = names
        .into_iter()
        .zip(outcomes)
        .map(|(name, outcome)| match outcome {
            Ok(captions) => json!({
                "name": name,
                "captions": captions.iter().map(sentence).collect::<Vec<_>>(),
            }),
            Err(problem) => json!({"name": name, "error": problem.body()}),
        })
        .collect();
    let seconds = start.elapsed().as_secs_f64();
    let answer = json!({"model": service.config.model, "results": results, "seconds": seconds});
    Ok(Json(answer).into_response())
}

impl Service {
    /// Captions of each picture, within the request's time.
    pub(crate) async fn captions(
        &self,
        pictures: Vec<Bytes>,
        ask: &Ask,
    ) -> Result<Vec<Result<Vec<Sentence>, Problem>>, Problem> {
        let options = ask.options(&self.config)?;
        if pictures.is_empty() {
            return Err(
                Problem::bad_request("there is no picture in the request").hint(
                    "send the bytes of a picture file, a form with files, or JSON with `image`",
                ),
            );
        }
        let (found, most) = (pictures.len(), self.config.pictures);
        if most < found {
            let detail = format!("{found} pictures in one request, at most {most} are taken");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        if pictures.iter().any(Bytes::is_empty) {
            return Err(Problem::bad_request("a picture of 0 bytes"));
        }
        let end = Instant::now() + self.config.time;
        let answers = self.queue.put(pictures, options, end)?;
        let all = async {
            let mut outcomes = Vec::with_capacity(answers.len());
            for answer in answers {
                outcomes.push(match answer.await {
                    Ok(Outcome::Captions(captions)) => Ok(captions),
                    Ok(Outcome::Picture(error)) => Err(picture::problem(&error)),
                    Ok(Outcome::Failed(problem)) => return Err(problem),
                    Err(_) => return Err(self.too_late()),
                });
            }
            Ok(outcomes)
        };
        let outcomes = tokio::time::timeout_at(end.into(), all).await;
        outcomes.unwrap_or_else(|_| Err(self.too_late()))
    }

    fn too_late(&self) -> Problem {
        let seconds = self.config.time.as_secs();
        let detail = format!("no captions within {seconds} seconds");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .hint("ask for fewer captions or a smaller beam, or try again")
            .retry_after(1)
    }

    /// Every part with a file name is a picture; the others are options.
    async fn form(&self, head: Parts, ask: &mut Ask, bytes: Bytes) -> Result<Vec<Named>, Problem> {
        let broken = |error: axum::extract::multipart::MultipartError| {
            Problem::bad_request(format!("the form is broken: {}", error.body_text()))
        };
        let request = Request::from_parts(head, Body::from(bytes));
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|error| {
                Problem::bad_request(format!("the form is broken: {}", error.body_text()))
            })?;
        let mut pictures = Vec::new();
        while let Some(field) = form.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or("").to_owned();
            let file = field.file_name().map(str::to_owned);
            let is_picture = file.is_some() || ["image", "images", "file"].contains(&name.as_str());
            if is_picture {
                let bytes = field.bytes().await.map_err(broken)?;
                pictures.push(Named { name: file, bytes });
            } else {
                ask.set(&name, &field.text().await.map_err(broken)?)?;
            }
        }
        Ok(pictures)
    }

    async fn typed(&self, ask: &mut Ask, bytes: &[u8]) -> Result<Vec<Named>, Problem> {
        let wrong = |error: serde_json::Error| {
            Problem::bad_request(format!("the JSON is not as expected: {error}")).hint(format!(
                "expected is {{\"image\": \"data:image/jpeg;base64,…\"}}, and of {NAMES} what you like"
            ))
        };
        let typed: Typed = serde_json::from_slice(bytes).map_err(wrong)?;
        if !typed.ask.is_empty() {
            *ask = serde_json::from_value(Value::Object(typed.ask)).map_err(wrong)?;
        }
        let named = typed
            .image
            .into_iter()
            .chain(typed.images.into_iter().flatten());
        let mut pictures = Vec::new();
        for named in named.take(self.config.pictures + 1) {
            pictures.push(Named {
                name: None,
                bytes: self.picture(&named).await?,
            });
        }
        Ok(pictures)
    }
}

/// A caption as it is answered.
fn sentence(sentence: &Sentence) -> Value {
    let attention = sentence.attention.as_ref().map(|attention| {
        let [rows, columns] = attention.grid;
        let each = (rows * columns).max(1);
        // Four digits are more than a screen has greys.
        let digits = |weight: &f32| (f64::from(*weight) * 1e4).round() / 1e4;
        let words = attention.weights.chunks(each);
        let words: Vec<Vec<f64>> = words
            .map(|word| word.iter().map(digits).collect())
            .collect();
        json!({"grid": [rows, columns], "weights": words})
    });
    json!({
        "text": sentence.text,
        "words": sentence.words,
        "log_prob": sentence.log_prob,
        "probability": sentence.log_prob.exp(),
        "word_log_probs": sentence.word_log_probs,
        "finished": sentence.finished,
        "attention": attention,
    })
}

/// The best caption of each picture on its own line, empty where there is none.
fn lines(outcomes: &[Result<Vec<Sentence>, Problem>]) -> String {
    let best = |outcome: &Result<Vec<Sentence>, Problem>| {
        let captions = outcome.as_ref().map_or(&[][..], Vec::as_slice);
        captions
            .first()
            .map_or("", |caption| &caption.text)
            .to_owned()
            + "\n"
    };
    outcomes.iter().map(best).collect()
}

/// The media type without its parameters.
fn media(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim()
}

fn accepts_plain(headers: &HeaderMap) -> bool {
    let value = headers.get(header::ACCEPT);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim() == "text/plain"
}

//! `POST /v1/chat/completions` in OpenAI's form, so that programs made for it can be pointed here.
//!
//! The pictures of the last message that has any are captioned; what the messages ask for in words is
//! not read, and any model's name is taken: programs come with one of OpenAI's. Several pictures make
//! one answer with a line for each. Unknown fields are ignored, as OpenAI adds new ones all the time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use generate::Sentence;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Service;
use super::ask::Ask;
use crate::Problem;

/// Where this is.
pub(crate) const PATH: &str = "/v1/chat/completions";

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Message>,
    n: Option<usize>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Content {
    Parts(Vec<Part>),
    Text(#[expect(dead_code, reason = "only its kind is looked at")] String),
    #[default]
    None,
}

#[derive(Deserialize)]
struct Part {
    image_url: Option<ImageUrl>,
}

/// OpenAI's is an object; some programs send the address alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum ImageUrl {
    Object { url: String },
    Text(String),
}

pub(crate) async fn post(State(service): State<Arc<Service>>, request: Request) -> Response {
    match answer(&service, request).await {
        Ok(response) => response,
        Err(problem) => error(&problem),
    }
}

/// A problem in OpenAI's form.
pub(crate) fn error(problem: &Problem) -> Response {
    let kind = match problem.status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    };
    let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})"));
    let message = problem.detail.clone() + &hint.unwrap_or_default();
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": null}});
    let mut response = Json(body).into_response();
    problem.dress(&mut response);
    response
}

async fn answer(service: &Service, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let held = service.read(&head.headers, body).await?;
    let chat: Chat = serde_json::from_slice(&held.bytes).map_err(|error| {
        Problem::bad_request(format!("the JSON is not as expected: {error}"))
            .hint("expected is OpenAI's chat completion request")
    })?;
    let mut pictures = Vec::new();
    for url in chat.pictures().take(service.config.pictures + 1) {
        pictures.push(service.picture(url).await?);
    }
    if pictures.is_empty() {
        return Err(Problem::bad_request("no message has an image_url part")
            .hint("this model captions pictures: send one as a data URI"));
    }
    let ask = Ask {
        n: chat.n,
        temperature: chat.temperature.map(|temperature| temperature.min(5.0)),
        top_p: chat.top_p,
        seed: chat.seed.map(i64::cast_unsigned),
        ..Ask::default()
    };
    let outcomes = service.captions(pictures, &ask).await?;
    let captions: Vec<Vec<Sentence>> = outcomes.into_iter().collect::<Result<_, _>>()?;
    let reply = Reply::new(service, &chat, &captions);
    Ok(match chat.stream.unwrap_or(false) {
        true => reply.stream(
            chat.stream_options
                .is_some_and(|options| options.include_usage),
        ),
        false => reply.whole(),
    })
}

impl Chat {
    /// Of the last message that has pictures.
    fn pictures(&self) -> impl Iterator<Item = &str> {
        let parts = self
            .messages
            .iter()
            .rev()
            .find_map(|message| match &message.content {
                Content::Parts(parts) if parts.iter().any(|p| p.image_url.is_some()) => Some(parts),
                _ => None,
            });
        let urls = parts
            .into_iter()
            .flatten()
            .filter_map(|part| part.image_url.as_ref());
        urls.map(|url| match url {
            ImageUrl::Object { url } | ImageUrl::Text(url) => url.as_str(),
        })
    }
}

/// An answer before it takes one of its two forms.
struct Reply {
    id: String,
    created: u64,
    model: String,
    /// Text, finish reason and log probabilities of each choice.
    choices: Vec<(String, &'static str, Value)>,
    usage: Value,
}

impl Reply {
    fn new(service: &Service, chat: &Chat, captions: &[Vec<Sentence>]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let created = since.map_or(0, |since| since.as_secs());
        let fewest = captions.iter().map(Vec::len).min().unwrap_or(0);
        let choice = |n: usize| {
            let sentences: Vec<&Sentence> = captions.iter().map(|all| &all[n]).collect();
            let texts: Vec<&str> = sentences.iter().map(|s| s.text.as_str()).collect();
            let cut = sentences.iter().any(|sentence| !sentence.finished);
            let probabilities = match chat.logprobs {
                Some(true) => json!({
                    "content": sentences.iter().flat_map(|s| tokens(s)).collect::<Vec<_>>(),
                    "refusal": null,
                }),
                _ => Value::Null,
            };
            (
                texts.join("\n"),
                if cut { "length" } else { "stop" },
                probabilities,
            )
        };
        let choices: Vec<_> = (0..fewest).map(choice).collect();
        let words: usize = captions.iter().flatten().map(|s| s.words.len()).sum();
        let seen = captions.len();
        Self {
            id: format!("chatcmpl-{}-{number}", service.started_s),
            created,
            model: service.config.model.clone(),
            choices,
            // A picture counts as one token: there is nothing to pay for.
            usage: json!({"prompt_tokens": seen, "completion_tokens": words, "total_tokens": seen + words}),
        }
    }

    fn whole(self) -> Response {
        let choice = |(index, (text, reason, probabilities)): (usize, (String, &str, Value))| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": probabilities,
                "finish_reason": reason,
            })
        };
        let choices: Vec<Value> = self.choices.into_iter().enumerate().map(choice).collect();
        Json(json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": self.usage,
        }))
        .into_response()
    }

    /// Server-sent events; the whole caption is one piece, since it is known whole.
    fn stream(self, usage: bool) -> Response {
        let chunk = |choices: Value, usage: Value| {
            json!({
                "id": self.id,
                "object": "chat.completion.chunk",
                "created": self.created,
                "model": self.model,
                "choices": choices,
                "usage": usage,
            })
            .to_string()
        };
        let mut data = Vec::new();
        for (index, (text, reason, probabilities)) in self.choices.iter().enumerate() {
            let delta = json!({"role": "assistant", "content": text});
            data.push(chunk(
                json!([{"index": index, "delta": delta, "logprobs": probabilities, "finish_reason": null}]),
                Value::Null,
            ));
            data.push(chunk(
                json!([{"index": index, "delta": {}, "logprobs": null, "finish_reason": reason}]),
                Value::Null,
            ));
        }
        if usage {
            data.push(chunk(json!([]), self.usage.clone()));
        }
        data.push("[DONE]".into());
        let events = data
            .into_iter()
            .map(|data| Ok::<_, Infallible>(Event::default().data(data)));
        Sse::new(stream::iter(events)).into_response()
    }
}

/// The words of a caption with their log probabilities.
fn tokens(sentence: &Sentence) -> Vec<Value> {
    let words = sentence
        .words
        .iter()
        .zip(&sentence.word_log_probs)
        .enumerate();
    let token = |(n, (word, log_prob)): (usize, (&String, &f32))| {
        let token = if n == 0 {
            word.clone()
        } else {
            format!(" {word}")
        };
        json!({"token": token, "logprob": log_prob, "bytes": token.as_bytes(), "top_logprobs": []})
    };
    words.map(token).collect()
}

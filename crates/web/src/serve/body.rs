//! A request's body in memory, within limits of size, time and of all bodies together.
//!
//! Room for the stated length is taken before a byte is read, so that many large bodies at once meet
//! 503 and not the end of memory. What is over the limit is read on for a moment and thrown away:
//! a client that is still sending would see a broken connection instead of the answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::Service;
use crate::Problem;

/// Bytes that are read and thrown away after a refusal, and for how long.
const DRAIN_BYTES: usize = 64 << 20;
const DRAIN: Duration = Duration::from_secs(2);

/// A body with its share of the room, which is given back with it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) _room: OwnedSemaphorePermit,
}

impl Service {
    /// All of `body`.
    pub(crate) async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Held, Problem> {
        let limit = self.config.body_bytes;
        let length = headers.get(header::CONTENT_LENGTH);
        let stated = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if stated.is_some_and(|stated| limit < stated) {
            drain(&mut body).await;
            return Err(too_large(limit));
        }
        let kib = (stated.unwrap_or(limit) >> 10) as u32 + 1;
        let Ok(room) = self.room.clone().try_acquire_many_owned(kib) else {
            drain(&mut body).await;
            let detail = "the bodies of other requests fill the memory that is set aside for them";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                .hint("try again after the seconds that Retry-After names")
                .retry_after(1));
        };
        let end = Instant::now() + self.config.body_time;
        let pause = self.config.body_time / 3;
        let mut bytes = BytesMut::with_capacity(stated.unwrap_or(0));
        loop {
            let next = end.min(Instant::now() + pause);
            let frame = match timeout_at(next, body.frame()).await {
                Err(_) => return Err(too_slow(bytes.len(), stated)),
                Ok(None) => break,
                Ok(Some(Err(_))) => {
                    let detail = format!("the body ended after {} bytes", bytes.len());
                    return Err(Problem::bad_request(detail));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(piece) = frame.into_data() {
                if limit < bytes.len() + piece.len() {
                    drain(&mut body).await;
                    return Err(too_large(limit));
                }
                bytes.extend_from_slice(&piece);
            }
        }
        Ok(Held {
            bytes: bytes.freeze(),
            _room: room,
        })
    }
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body has more than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        .hint("send a smaller picture, or start the service with a larger --max-body")
}

fn too_slow(found: usize, stated: Option<usize>) -> Problem {
    let of = stated.map_or(String::new(), |stated| format!(" of {stated}"));
    let detail = format!("the body came too slowly: {found}{of} bytes so far");
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}

async fn drain(body: &mut Body) {
    let end = Instant::now() + DRAIN;
    let mut left = DRAIN_BYTES;
    while let Ok(Some(Ok(frame))) = timeout_at(end, body.frame()).await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

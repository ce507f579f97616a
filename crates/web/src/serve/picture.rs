//! Pictures as clients name them in JSON: data URIs, plain base64, and addresses if that is allowed.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use data::picture::PictureError;

use super::Service;
use super::ask::shorten;
use crate::Problem;

impl Service {
    /// The bytes of a picture file.
    pub(crate) async fn picture(&self, named: &str) -> Result<Bytes, Problem> {
        if named.starts_with("http://") || named.starts_with("https://") {
            return self.fetcher.fetch(named).await;
        }
        let encoded = match named.strip_prefix("data:") {
            Some(rest) => {
                let (head, encoded) = rest
                    .split_once(',')
                    .ok_or_else(|| Problem::bad_request("a data URI without a comma").hint(FORM))?;
                if !head.ends_with(";base64") {
                    let detail = format!("a data URI of `{}` without base64", shorten(head));
                    return Err(Problem::bad_request(detail).hint(FORM));
                }
                encoded
            }
            None => named,
        };
        decode(encoded).map(Bytes::from)
    }
}

const FORM: &str = "expected is data:image/jpeg;base64,…";

/// Base64 of either alphabet; line breaks inside are no error.
fn decode(encoded: &str) -> Result<Vec<u8>, Problem> {
    let mut text = encoded.as_bytes().to_vec();
    text.retain(|byte| !byte.is_ascii_whitespace());
    if text.is_empty() {
        return Err(Problem::bad_request("an empty picture").hint(FORM));
    }
    let decoded = match STANDARD.decode(&text) {
        Ok(bytes) => return Ok(bytes),
        Err(error) => URL_SAFE.decode(&text).map_err(|_| error),
    };
    decoded.map_err(|error| {
        Problem::bad_request(format!("the picture is not base64: {error}")).hint(FORM)
    })
}

/// A picture that doesn't decode, as a client gets it.
pub(crate) fn problem(error: &PictureError) -> Problem {
    let status = match error {
        PictureError::UnknownFormat { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        PictureError::TooManyPixels { .. } | PictureError::TooManyBytes { .. } => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut problem = Problem::new(status, error.to_string());
    problem.hint = match error {
        // The library's words are about options of the command line.
        PictureError::TooManyPixels { .. } | PictureError::TooManyBytes { .. } => {
            Some("make the picture smaller: the model sees it small anyway".into())
        }
        PictureError::Truncated { .. } => Some("the file was cut off: send it again".into()),
        PictureError::UnknownFormat { .. } => {
            Some("open it in another program and save it as JPEG or PNG".into())
        }
        _ => None,
    };
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_and_broken_lines() {
        assert_eq!(decode("/+8=").expect("standard"), [0xff, 0xef]);
        assert_eq!(decode("_-8=").expect("URL-safe"), [0xff, 0xef]);
        assert_eq!(decode(" /+\r\n8= ").expect("white space"), [0xff, 0xef]);
        for bad in ["", "  ", "/+8", "a", "!!!!", "/+8==="] {
            assert_eq!(decode(bad).expect_err(bad).status.as_u16(), 400);
        }
    }
}

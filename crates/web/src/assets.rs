//! The files of the pages, compiled into the program.
//!
//! Here: the list, and `GET /assets/NAME`. Not here: which page is at `/` (each router says).
//! The chart library is uPlot's published minified file, unchanged, with its licence beside it.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Problem;

/// One embedded file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asset {
    name: &'static str,
    media: &'static str,
    pub(crate) text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! assets {
    ($($file:literal $media:ident),* $(,)?) => {
        /// Every file of `assets/` that a page may ask for.
        const ASSETS: &[Asset] = &[$(Asset {
            name: $file,
            media: $media,
            text: include_str!(concat!("../assets/", $file)),
        }),*];
    };
}

assets! {
    "style.css" CSS,
    "theme.js" JS,
    "icon.svg" SVG,
    "monitor.html" HTML,
    "monitor.css" CSS,
    "monitor.js" JS,
    "monitor/charts.js" JS,
    "monitor/filter.js" JS,
    "monitor/table.js" JS,
    "monitor/detail.js" JS,
    "view.html" HTML,
    "view.css" CSS,
    "view.js" JS,
    "view/cards.js" JS,
    "view/difference.js" JS,
    "caption.html" HTML,
    "caption.css" CSS,
    "caption.js" JS,
    "caption/server.js" JS,
    "caption/heat.js" JS,
    "caption/camera.js" JS,
    "docs.html" HTML,
    "docs.css" CSS,
    "docs.js" JS,
    "openapi.json" JSON,
    "format.js" JS,
    "vendor/uPlot.iife.min.js" JS,
    "vendor/uPlot.min.css" CSS,
    "vendor/uPlot.LICENSE.txt" TEXT,
}

/// The file of that name.
pub(crate) fn find(name: &str) -> Option<Asset> {
    ASSETS.iter().find(|asset| asset.name == name).copied()
}

/// `GET /assets/NAME` and, at `/`, the page `page`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(page: &'static str) -> Router<S> {
    let front = find(page).expect("the page is in the list");
    let index = move |headers: HeaderMap| async move { front.respond(&headers) };
    Router::new()
        .route("/", get(index))
        .route("/favicon.ico", get(icon))
        .route("/assets/{*name}", get(asset))
}

async fn icon(headers: HeaderMap) -> Response {
    find("icon.svg")
        .expect("it is in the list")
        .respond(&headers)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let asset = find(&name).ok_or_else(|| Problem::not_found("there is no such file"))?;
    Ok(asset.respond(&headers))
}

impl Asset {
    /// The file, or 304 where the browser has it: after an upgrade of the program it hasn't.
    pub(crate) fn respond(self, headers: &HeaderMap) -> Response {
        let tag = format!("\"{:016x}\"", fnv(self.text.as_bytes()));
        let known = headers.get(header::IF_NONE_MATCH);
        let cache = [
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::ETAG, tag.clone()),
        ];
        match known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            true => (StatusCode::NOT_MODIFIED, cache).into_response(),
            false => {
                let media = [(header::CONTENT_TYPE, self.media)];
                (cache, media, self.text).into_response()
            }
        }
    }
}

/// Fowler, Noll and Vo's hash 1a, 64 bits: the same in every version of the compiler.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values of the hash's authors.
    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// A page that asked another host for a font or a script would tell it who looks at what.
    #[test]
    fn no_page_names_another_host() {
        for asset in ASSETS.iter().filter(|asset| asset.media != TEXT) {
            for scheme in ["http://", "https://", "\"//", "'//", "url(//"] {
                for (at, _) in asset.text.match_indices(scheme) {
                    let rest = &asset.text[at..];
                    // The name of a vocabulary, which nobody fetches.
                    assert!(
                        rest.starts_with("http://www.w3.org/") || asset.name.starts_with("vendor/"),
                        "{}: {}",
                        asset.name,
                        rest.chars().take(60).collect::<String>()
                    );
                }
            }
        }
    }
}

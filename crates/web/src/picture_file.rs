//! Pictures that a run or a result file names, from disk to the browser.
//!
//! Here: where such a name may lie, and that only pictures are ever sent. Not here: decoding.
//!
//! A client never names a file: it names the n-th picture of a result. But the result itself may be a
//! stranger's and name `/etc/passwd`, so what is sent must start as a picture does. SVG is no
//! picture here: it can hold scripts.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::Problem;

/// Largest file that is sent.
const MOST_BYTES: u64 = 64 << 20;

/// `name` itself, or under one of `folders`, there also in `imgs` (NeuralTalk) or `images`. The
/// first that is there.
pub(crate) fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let name = Path::new(name);
    // Results travel between machines: the file's own name in a given folder is the last resort.
    let own = name.file_name().map(Path::new);
    let places = folders.iter().flat_map(|folder| {
        let inside = ["", "imgs", "images"];
        let names = [Some(name), own];
        names
            .into_iter()
            .flatten()
            .flat_map(move |name| inside.map(|inside| folder.join(inside).join(name)))
    });
    places.into_iter().find(|path| path.is_file())
}

/// The media type of bytes that start as a picture does; every browser shows all of these.
pub(crate) fn media(start: &[u8]) -> Option<&'static str> {
    let is = |magic: &[u8]| start.starts_with(magic);
    Some(match () {
        () if is(b"\xff\xd8\xff") => "image/jpeg",
        () if is(b"\x89PNG\r\n\x1a\n") => "image/png",
        () if is(b"GIF87a") || is(b"GIF89a") => "image/gif",
        () if is(b"RIFF") && start.get(8..12) == Some(b"WEBP") => "image/webp",
        () if is(b"BM") && start.len() > 26 => "image/bmp",
        () => return None,
    })
}

/// Bytes of a picture file, with their media type.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, &'static str), Problem> {
    let missing = |_| Problem::not_found("the picture can't be read where the result says it is");
    let file = File::open(path).map_err(missing)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(MOST_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(missing)?;
    if MOST_BYTES < bytes.len() as u64 {
        let detail = format!("the picture has more than {MOST_BYTES} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let media = media(&bytes).ok_or_else(|| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the file that the result names is no JPEG, PNG, GIF, WebP or BMP",
        )
    })?;
    Ok((bytes, media))
}

/// The file as a response, or 304 where the browser has it.
pub(crate) async fn respond(
    path: Option<PathBuf>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = path.ok_or_else(|| {
        Problem::not_found("the picture's file was not found")
            .hint("say where the pictures are with --pictures FOLDER")
    })?;
    let task = move || {
        let stamp = std::fs::metadata(&path).ok().and_then(|meta| {
            let modified = meta.modified().ok()?;
            let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(format!("\"{}-{}\"", meta.len(), since.as_nanos()))
        });
        let stamp = stamp.unwrap_or_else(|| "\"\"".into());
        let known = headers.get(header::IF_NONE_MATCH);
        if known.is_some_and(|known| known.as_bytes() == stamp.as_bytes()) {
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        let (bytes, media) = read(&path)?;
        let mut response = bytes.into_response();
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        out.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=60"),
        );
        if let Ok(stamp) = HeaderValue::try_from(stamp) {
            out.insert(header::ETAG, stamp);
        }
        Ok(response)
    };
    let broken = |_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "reading a picture failed",
        )
    };
    tokio::task::spawn_blocking(task).await.map_err(broken)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_are_sent_wherever_a_result_points() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret.jpg");
        std::fs::write(&secret, "root:x:0:0").expect("written");
        let problem = read(&secret).expect_err("no picture");
        assert_eq!(problem.status.as_u16(), 415);
        assert!(!problem.detail.contains("root"));
        std::fs::write(&secret, b"\xff\xd8\xff\xe0rest").expect("written");
        assert_eq!(read(&secret).expect("a JPEG").1, "image/jpeg");
        assert_eq!(media(b"<svg xmlns="), None);
        assert_eq!(
            read(&folder.path().join("none"))
                .expect_err("none")
                .status
                .as_u16(),
            404
        );
    }

    #[test]
    fn a_name_is_found_in_the_places_that_the_programs_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let imgs = folder.path().join("imgs");
        std::fs::create_dir(&imgs).expect("a folder");
        std::fs::write(imgs.join("a.jpg"), "").expect("written");
        std::fs::write(folder.path().join("b.jpg"), "").expect("written");
        let folders = [PathBuf::from("/nowhere"), folder.path().to_owned()];
        let found = |name: &str| find(name, &folders);
        assert_eq!(found("a.jpg"), Some(imgs.join("a.jpg")));
        assert_eq!(found("b.jpg"), Some(folder.path().join("b.jpg")));
        assert_eq!(
            found("/scail/u/someone/b.jpg"),
            Some(folder.path().join("b.jpg"))
        );
        assert_eq!(found("c.jpg"), None);
        assert_eq!(found(""), None);
    }
}

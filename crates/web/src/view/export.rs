//! The viewer as one HTML file that needs no server: `neuraltalk view --html FILE`.
//!
//! Here: the page with its styles, its script and the captions inside. Pictures are links relative
//! to the file, so that a folder can be moved or passed on as a whole, or are in the file too.

use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Results;
use crate::{assets, picture_file};

/// What becomes of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pictures {
    /// Links to where they lie, relative to the file where that is possible.
    Link,
    /// Inside the file, as data.
    Embed,
}

/// The page as text. `file` is where it will be written (links start there). With the text comes how
/// many pictures were not found.
pub fn export(
    results: &[Results],
    folders: &[PathBuf],
    file: &Path,
    pictures: Pictures,
) -> (String, usize) {
    let mut data = serde_json::to_value(results).expect("strings and finite numbers");
    let mut missing = 0;
    for (r, results) in results.iter().enumerate() {
        for n in 0..results.len() {
            let source = results.picture(n, folders).and_then(|path| match pictures {
                Pictures::Link => Some(link(&path, file)),
                Pictures::Embed => embed(&path),
            });
            missing += usize::from(source.is_none());
            data[r]["items"][n]["src"] = source.map_or(Value::Null, Value::String);
        }
    }
    (page(&data), missing)
}

fn page(data: &Value) -> String {
    let text = |name: &str| assets::find(name).expect("it is in the list").text;
    // `</script>` in a caption would end the script; JSON may have every letter as a number.
    let data = data.to_string().replace('<', "\\u003c");
    // A module's imports are files; in one file they follow one another.
    let code = |name: &str| -> String {
        let lines = text(name).lines();
        let own = lines.filter(|line| !line.starts_with("import "));
        own.map(|line| line.strip_prefix("export ").unwrap_or(line).to_owned() + "\n")
            .collect()
    };
    let script: String = [
        "format.js",
        "view/difference.js",
        "view/cards.js",
        "view.js",
    ]
    .map(code)
    .concat();
    let styles = text("style.css").to_owned() + text("view.css");
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
        img-src data: file: 'self'";
    let icon = STANDARD.encode(text("icon.svg"));
    let icon = format!("data:image/svg+xml;base64,{icon}");
    let mut page = String::new();
    for line in text("view.html").lines() {
        match line.trim() {
            head if head.starts_with("<meta charset") => {
                page += head;
                page += &format!(
                    "\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">"
                );
            }
            sheet if sheet.starts_with("<link rel=\"stylesheet\"") => {
                if sheet.contains("/style.css") {
                    page += &format!("<style>\n{styles}</style>");
                }
            }
            script_tag if script_tag.starts_with("<script") => {
                if script_tag.contains("/theme.js") {
                    page += &format!("<script>\n{}</script>", text("theme.js"));
                }
            }
            "</body>" => {
                page += &format!(
                    "<script type=\"application/json\" id=\"data\">{data}</script>\n\
                     <script type=\"module\">\n{script}</script>\n</body>"
                );
            }
            line => page += &line.replace("/assets/icon.svg", &icon),
        }
        page.push('\n');
    }
    page
}

fn embed(path: &Path) -> Option<String> {
    let (bytes, media) = picture_file::read(path).ok()?;
    Some(format!("data:{media};base64,{}", STANDARD.encode(bytes)))
}

/// From the folder of `file` to `path`, as a URL.
fn link(path: &Path, file: &Path) -> String {
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        path.components()
            .collect::<Vec<_>>()
            .into_iter()
            .map(own)
            .collect::<Vec<String>>()
    };
    fn own(component: Component) -> String {
        component.as_os_str().to_string_lossy().into_owned()
    }
    let (path, mut from) = (absolute(path), absolute(file));
    from.pop();
    let same = path.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let up = from[same..].iter().map(|_| "..".to_owned());
    let down = path[same..].iter().map(|part| escape(part));
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// A part of a path for a URL: everything but letters, digits and `-._~` as `%XX`.
fn escape(part: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let byte = |byte| match keep(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    part.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_file_to_the_pictures() {
        for (path, file, want) in [
            (
                "/data/imgs/a b#1.jpg",
                "/data/out.html",
                "imgs/a%20b%231.jpg",
            ),
            (
                "/data/imgs/a.jpg",
                "/home/me/out.html",
                "../../data/imgs/a.jpg",
            ),
            ("/data/é.jpg", "/data/x/y/o.html", "../../%C3%A9.jpg"),
            ("/a.jpg", "/o.html", "a.jpg"),
        ] {
            assert_eq!(link(Path::new(path), Path::new(file)), want);
        }
    }

    #[test]
    fn a_caption_cannot_end_the_script() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vis.json");
        let caption = "</script><script>alert(1)</script>";
        let text = serde_json::json!([{"image_id": 1, "caption": caption}]).to_string();
        std::fs::write(&path, text).expect("written");
        let results = [crate::view::load(&path).expect("read")];
        let file = folder.path().join("out.html");
        let (page, missing) = export(&results, &[], &file, Pictures::Link);
        assert_eq!(missing, 1);
        assert!(!page.contains("<script>alert"), "escaped");
        assert!(page.contains("\\u003c/script>\\u003cscript>alert(1)"));
        for outside in ["src=\"/", "href=\"/", "import "] {
            assert!(!page.contains(outside), "{outside} needs a server");
        }
    }
}

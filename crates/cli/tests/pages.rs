//! The commands that serve pages: where they listen, how they end, what they refuse.

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use program::run_in;

/// A command that serves, ended with the test.
struct Serving {
    child: Child,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(dir: &Path, line: &str) -> Serving {
    let mut child = Command::new(env!("CARGO_BIN_EXE_neuraltalk"))
        .current_dir(dir)
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut first = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut first).expect("a line");
    let address = first.split("http://").nth(1).expect("an address");
    let address = address.split_whitespace().next().expect("an address");
    Serving {
        child,
        address: address.to_owned(),
    }
}

/// Status line, headers and body.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn the_monitor_shows_runs_and_ends_with_0() {
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = temporary.path();
    run_in(dir, "demo-data shapes --images 20").ok();
    run_in(dir, "train shapes --run runs/a --max-epochs 1 --hidden-size 8 --image-encoding-size 8 --word-encoding-size 8 -q").ok();
    let mut serving = serve(dir, "monitor runs --port 0");
    let runs = get(&serving.address, "/api/runs");
    assert!(runs.starts_with("HTTP/1.1 200 OK"), "{runs}");
    assert!(
        runs.contains("\"id\":\"runs/a\"") && runs.contains("\"state\":\"finished\""),
        "{runs}"
    );
    assert!(get(&serving.address, "/").contains("<title>Training monitor"));
    let path = "/assets/../../../../etc/passwd";
    assert!(get(&serving.address, path).starts_with("HTTP/1.1 404"));
    let id = serving.child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status();
    assert!(killed.expect("kill").success());
    assert_eq!(serving.child.wait().expect("it ends").code(), Some(0));
    let once = run_in(dir, "monitor runs --json").ok();
    let once: serde_json::Value = serde_json::from_str(&once).expect("JSON");
    assert_eq!(once["runs"][0]["id"], "runs/a");
    assert_eq!(once["runs"][0]["state"], "finished");
    let ran = run_in(dir, "monitor runs elsewhere --json");
    assert_eq!(ran.code, 1);
    assert_eq!(ran.err, "`elsewhere` isn't there\n");
    assert!(ran.out.contains("runs/a"), "{}", ran.out);
}

#[test]
fn the_viewer_serves_and_exports() {
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = temporary.path();
    let vis = r#"[{"image_id": 7, "caption": "a dog"}]"#;
    fs::write(dir.join("vis.json"), vis).expect("written");
    let serving = serve(dir, "view vis.json --port 0");
    let results = get(&serving.address, "/api/results");
    assert!(results.contains("\"caption\":\"a dog\""), "{results}");
    let ran = run_in(dir, "view vis.json --html out.html");
    assert!(
        ran.err.contains("1 of 1 pictures were not found"),
        "{}",
        ran.err
    );
    assert_eq!(ran.ok(), "wrote out.html\n");
    let page = fs::read_to_string(dir.join("out.html")).expect("written");
    assert!(page.contains("a dog") && page.contains("Content-Security-Policy"));
}

#[test]
fn what_cannot_be_served_is_said_before_anything_listens() {
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = temporary.path();
    fs::write(dir.join("text.json"), "once upon a time").expect("written");
    fs::write(dir.join("keys.txt"), "# none yet\n").expect("written");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    for (line, code, words) in [
        (
            "view nothing.json".to_owned(),
            4,
            "cannot read `nothing.json`",
        ),
        ("view text.json".to_owned(), 3, "hint: "),
        (format!("monitor --port {port}"), 4, "choose another --port"),
        (
            "monitor --host 203.0.113.1".to_owned(),
            4,
            "--host is an address of this machine",
        ),
        (
            "serve --api-key-file keys.txt".to_owned(),
            3,
            "`keys.txt` holds no key",
        ),
        (
            "serve --port 0 --checkpoint nothing.safetensors".to_owned(),
            4,
            "nothing.safetensors",
        ),
        ("serve --queue 0".to_owned(), 2, "--queue"),
        ("view vis.json --embed".to_owned(), 2, "--html"),
    ] {
        let ran = run_in(dir, &line);
        assert_eq!(ran.code, code, "{line}: {}", ran.err);
        assert!(ran.err.contains(words), "{line}: {}", ran.err);
    }
}

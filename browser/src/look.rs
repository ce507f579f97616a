//! How a page looks: pictures of it in every size and both themes, and whether everybody can use it.
//!
//! Here: devices, themes, screenshots, axe. Not here: driving the page (`lib.rs`).

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{Browser, Command};

/// axe-core as Deque publishes it (MPL-2.0), for these tests only.
const AXE: &str = include_str!("../axe/axe.min.js");

/// CSS pixels of a common phone.
const PHONE: [u32; 2] = [390, 844];

/// No picture is higher, however long the page.
const HIGHEST: u64 = 2200;

/// Resolves once nothing moves any more: fonts, transitions, charts that follow a new width.
const SETTLED: &str = "const done = arguments[arguments.length - 1];
    const frame = () => new Promise(requestAnimationFrame);
    (async () => {
        await document.fonts.ready;
        await new Promise((go) => setTimeout(go, 250));
        const ending = document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime !== Infinity);
        await Promise.allSettled(ending.map((a) => a.finished));
        await frame();
        await frame();
    })().then(() => done(true));";

impl Browser {
    /// A command of Chromium's own protocol.
    async fn chromium(&self, name: &str, parameters: Value) -> Value {
        let body = json!({"cmd": name, "params": parameters});
        let command = Command {
            path: "goog/cdp/execute",
            body,
        };
        let answer = self.page.issue_cmd(command).await;
        answer.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The page on a phone, or in the window again.
    pub async fn phone(&self, yes: bool) {
        let [width, height] = PHONE;
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        let (name, size) = match yes {
            true => ("Emulation.setDeviceMetricsOverride", size),
            false => ("Emulation.clearDeviceMetricsOverride", json!({})),
        };
        self.chromium(name, size).await;
    }

    /// Light or dark, with the page's own button.
    pub async fn theme(&self, theme: &str) {
        self.js(&format!(
            "document.documentElement.dataset.theme === {theme:?} || document.querySelector('#theme').click()"
        ))
        .await;
        self.wait(&format!(
            "document.documentElement.dataset.theme === {theme:?}"
        ))
        .await;
    }

    async fn settle(&self, what: &str) {
        let settled = self.page.execute_async(SETTLED, vec![]).await;
        settled.unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// Leaves a picture of the page in `target/screenshots`.
    pub async fn picture(&self, name: &str) {
        self.settle(name).await;
        let page = self.chromium("Page.getLayoutMetrics", json!({})).await;
        let side = |name: &str| page["cssContentSize"][name].as_f64().expect("a number") as u64;
        // A dialog lies over the window only, and cards below it are not drawn before they are scrolled to.
        let open = self
            .js("document.querySelector('dialog[open], .cards') ? innerHeight : 1e9")
            .await;
        let highest = HIGHEST.min(open.as_f64().expect("a number") as u64);
        let clip = json!({"x": 0, "y": 0, "scale": 1, "width": side("width"), "height": side("height").min(highest)});
        let whole = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        // The first one makes Chromium draw what lay below the window.
        self.chromium("Page.captureScreenshot", whole.clone()).await;
        let picture = self.chromium("Page.captureScreenshot", whole).await;
        let bytes = STANDARD.decode(picture["data"].as_str().expect("base64"));
        let folder = screenshots();
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join(format!("{name}.png"));
        std::fs::write(file, bytes.expect("base64")).expect("written");
    }

    /// Pictures in a window and on a phone, light and dark; on a phone nothing sticks out.
    pub async fn pictures(&self, name: &str) {
        for (phone, device) in [(false, "desktop"), (true, "phone")] {
            self.phone(phone).await;
            for theme in ["light", "dark"] {
                self.theme(theme).await;
                self.picture(&format!("{name}-{device}-{theme}")).await;
            }
            let wide =
                "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(self.js(wide).await, 0, "{name} is too wide for a {device}");
        }
        self.phone(false).await;
        self.theme("light").await;
    }

    /// axe finds nothing serious, in light and in dark.
    pub async fn is_accessible(&self, page: &str) {
        self.page.execute(AXE, vec![]).await.expect("axe loads");
        for theme in ["dark", "light"] {
            self.theme(theme).await;
            // Colours on their way from one theme to the other have no contrast to speak of.
            self.settle(page).await;
            let script = "const done = arguments[arguments.length - 1];
                axe.run(document, {resultTypes: ['violations']}).then((r) => done(r.violations
                    .filter((v) => ['serious', 'critical'].includes(v.impact))
                    .map((v) => [v.id, v.help, v.nodes.slice(0, 3).map((n) => n.html + ' ' + n.failureSummary)])));";
            let found = self.page.execute_async(script, vec![]).await;
            let found = found.unwrap_or_else(|error| panic!("{page}: {error}"));
            assert_eq!(found, json!([]), "{page}, {theme}: {found:#}");
        }
    }
}

/// A PNG with a gradient, so that a page with pictures looks like one.
pub fn picture(width: u32, height: u32, hue: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    let share = |at: u32, of: u32| (255 * at / of.max(1)) as u8;
    let pixels: Vec<u8> = (0..width * height)
        .flat_map(|i| [share(i % width, width), hue, share(i / width, height)])
        .collect();
    writer.write_image_data(&pixels).expect("pixels");
    drop(writer);
    bytes
}

fn screenshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots")
}

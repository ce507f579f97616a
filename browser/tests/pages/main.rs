//! The pages in a real browser: headless Chromium, driven over WebDriver.
//!
//! Each test prints `skipped:` with the reason where Chromium or its driver is not installed (Debian:
//! `chromium chromium-driver`). The browser can resolve no name: what works here works without a
//! network. Pictures of the pages are left in `target/screenshots`.

mod caption;
mod monitor;
mod view;

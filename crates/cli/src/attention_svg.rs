//! A picture of attention: the photograph once for each word of its caption, light where the model looked.
//!
//! One SVG file that holds everything (the photograph as JPEG, each word's weights as a PNG of one pixel a region, which the
//! viewer stretches), after the figures of Xu et al. 2015. Text stays text, so no font is needed here. Not here: the weights
//! (`generate`).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data::picture::{Picture, Preprocessing};
use generate::{Attention, Sentence};

/// Longest side of one copy of the photograph, in SVG units.
const SIDE: f64 = 224.0;
/// Copies in a row.
const COLUMNS: usize = 5;
/// Between copies, and room for a word below each.
const GAP: f64 = 12.0;
const LINE: f64 = 26.0;
/// How dark a region is that the model didn't look at at all.
const DARKEST: f32 = 0.8;

/// The file's text; none if the sentence has no attention.
pub(crate) fn render(
    picture: &Picture,
    preprocessing: &Preprocessing,
    sentence: &Sentence,
) -> anyhow::Result<Option<String>> {
    let Some(Attention { grid, weights }) = &sentence.attention else {
        return Ok(None);
    };
    let (width, height) = (picture.width as f64, picture.height as f64);
    let scale = SIDE / width.max(height);
    let (w, h) = (width * scale, height * scale);
    let [x, y, seen_w, seen_h] = preprocessing.seen(picture.width, picture.height);
    let place = [x * scale, y * scale, seen_w * scale, seen_h * scale];
    let columns = COLUMNS.min(sentence.words.len() + 1);
    let rows = (sentence.words.len() + 1).div_ceil(columns);
    let (page_w, page_h) = (
        columns as f64 * (w + GAP) + GAP,
        rows as f64 * (h + LINE + GAP) + GAP,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {page_w:.0} {page_h:.0}\" width=\"{page_w:.0}\" \
         height=\"{page_h:.0}\" font-family=\"sans-serif\" font-size=\"16\" text-anchor=\"middle\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <defs><image id=\"photo\" width=\"{w:.2}\" height=\"{h:.2}\" href=\"data:image/jpeg;base64,{}\"/></defs>\n",
        escaped(&sentence.text),
        STANDARD.encode(jpeg(picture, scale)?),
    );
    let regions = grid[0] * grid[1];
    // The photograph alone comes first.
    let words = std::iter::once("").chain(sentence.words.iter().map(String::as_str));
    for (at, word) in words.enumerate() {
        let left = GAP + (at % columns) as f64 * (w + GAP);
        let top = GAP + (at / columns) as f64 * (h + LINE + GAP);
        writeln!(
            svg,
            "<g transform=\"translate({left:.2} {top:.2})\"><use href=\"#photo\"/>"
        )?;
        if let Some(at) = at.checked_sub(1) {
            let mask = png(&weights[at * regions..(at + 1) * regions], *grid)?;
            let [x, y, w, h] = place;
            writeln!(
                svg,
                "<image x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" preserveAspectRatio=\"none\" \
                 href=\"data:image/png;base64,{}\"/>",
                STANDARD.encode(mask)
            )?;
        }
        let (middle, base) = (w / 2.0, h + LINE * 0.7);
        writeln!(
            svg,
            "<text x=\"{middle:.2}\" y=\"{base:.2}\">{}</text></g>",
            escaped(word)
        )?;
    }
    svg.push_str("</svg>\n");
    Ok(Some(svg))
}

/// Black, the more opaque the less a region mattered; the most important one is clear.
fn png(weights: &[f32], [rows, columns]: [usize; 2]) -> anyhow::Result<Vec<u8>> {
    let most = weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let pixels: Vec<u8> = weights
        .iter()
        .flat_map(|weight| [0, (DARKEST * (1.0 - weight / most) * 255.0) as u8])
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::GrayscaleAlpha);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// The photograph at twice the size at which it is shown, or its own if that is less.
fn jpeg(picture: &Picture, scale: f64) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let full =
        image::RgbImage::from_raw(width, height, picture.rgb.clone()).expect("three bytes a pixel");
    let shrink = (2.0 * scale).min(1.0);
    let side = |pixels: u32| ((f64::from(pixels) * shrink).round() as u32).max(1);
    let small = match shrink < 1.0 {
        true => image::imageops::thumbnail(&full, side(width), side(height)),
        false => full,
    };
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85);
    small.write_with_encoder(encoder)?;
    Ok(bytes)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_copy_and_its_weights() {
        let picture = Picture {
            width: 30,
            height: 20,
            rgb: (0..30 * 20 * 3).map(|i| (i % 251) as u8).collect(),
        };
        let sentence = Sentence {
            text: "a <red> dog".into(),
            words: ["a", "<red>", "dog"].map(String::from).to_vec(),
            log_prob: -1.0,
            word_log_probs: vec![],
            finished: true,
            attention: Some(Attention {
                grid: [1, 2],
                weights: vec![0.5, 0.5, 0.0, 1.0, 0.8, 0.2],
            }),
        };
        let square = Preprocessing::efficientnet_lite(224);
        let svg = render(&picture, &square, &sentence).unwrap().unwrap();
        assert_eq!(svg.matches("<use ").count(), 4);
        assert_eq!(svg.matches("data:image/png").count(), 3);
        assert!(svg.contains(">&lt;red&gt;</text>") && !svg.contains("<red>"));
        // What a mask says, read back.
        let data = svg.split("data:image/png;base64,").nth(2).unwrap();
        let data = STANDARD.decode(data.split('"').next().unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(data))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; 4];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [0, 204, 0, 0], "dark where it didn't look");
        // A cropped picture: the mask lies where the encoder looked.
        let cropped = Preprocessing::torchvision(224);
        let svg = render(&picture, &cropped, &sentence).unwrap().unwrap();
        let scale = SIDE / 30.0;
        let (side, left) = (20.0 * 224.0 / 256.0 * scale, (30.0 - 17.5) / 2.0 * scale);
        let want = format!(
            "<image x=\"{left:.2}\" y=\"{:.2}\" width=\"{side:.2}\"",
            1.25 * scale
        );
        assert!(svg.contains(&want), "{want}");
        let blind = Sentence {
            attention: None,
            ..sentence
        };
        assert!(render(&picture, &square, &blind).unwrap().is_none());
    }
}

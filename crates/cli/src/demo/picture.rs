//! A made-up picture as a PNG of 96 x 96: up to three shapes side by side.

use anyhow::Context;

use super::scene::{COLOURS, Scene};

/// Width and height, pixels.
const SIDE: usize = 96;
/// Half the width of a shape, pixels.
const RADIUS: f64 = 12.0;

/// The picture's file.
pub(super) fn png(scene: &Scene) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE as u32, SIDE as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().context("cannot encode a picture")?;
    writer
        .write_image_data(&pixels(scene))
        .and_then(|()| writer.finish())
        .context("cannot encode a picture")?;
    Ok(file)
}

/// (S, S, 3) red, green, blue.
fn pixels(scene: &Scene) -> Vec<u8> {
    let shape = COLOURS[scene.colour].1;
    let ground = COLOURS[scene.ground].1;
    (0..SIDE * SIDE)
        .flat_map(|i| {
            if covered(scene, (i % SIDE) as f64 + 0.5, (i / SIDE) as f64 + 0.5) {
                shape
            } else {
                ground
            }
        })
        .collect()
}

/// True where a shape covers the point.
fn covered(scene: &Scene, x: f64, y: f64) -> bool {
    let shapes = scene.count + 1;
    let side = SIDE as f64;
    let centre_y = side * [0.2, 0.5, 0.8][scene.place];
    (0..shapes).any(|i| {
        let centre_x = side * (i as f64 + 0.5) / shapes as f64;
        let (dx, dy) = (x - centre_x, y - centre_y);
        match scene.shape {
            0 => dx * dx + dy * dy < RADIUS * RADIUS,
            1 => dx.abs() < RADIUS && dy.abs() < RADIUS,
            // Point up: as wide as it is high.
            _ => dy.abs() < RADIUS && dx.abs() < (dy + RADIUS) / 2.0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_shapes_cover_more_of_the_picture() {
        let mut scene = Scene {
            count: 0,
            colour: 0,
            shape: 0,
            place: 0,
            ground: 2,
        };
        let area = |scene: &Scene| {
            let red = COLOURS[scene.colour].1;
            pixels(scene).chunks(3).filter(|p| *p == red).count()
        };
        let one = area(&scene);
        let circle = std::f64::consts::PI * RADIUS * RADIUS;
        assert!((one as f64 - circle).abs() < 0.05 * circle);
        scene.count = 2;
        assert_eq!(area(&scene), 3 * one);
        scene.shape = 1;
        assert_eq!(area(&scene), 3 * 24 * 24);
    }
}

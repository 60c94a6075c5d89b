//! Draws a calm landscape: sky, sun, hills, and a pod with its seeds, in colours that follow from a seed.

use image::{Rgb, RgbImage};

/// A colour as light, each channel 0 to 1.
type Colour = [f32; 3];

/// How many ranges of hills lie behind each other.
const RANGES: u8 = 4;

/// Draws a picture of this size from 32 bytes, the same everywhere for the same bytes.
pub(super) fn draw(seed: &[u8; 32], width: u32, height: u32) -> RgbImage {
    let unit = |at: usize| f32::from(seed[at]) / 255.0;
    // From green by blue and rose to orange: skies that are never mustard.
    let hue = 0.4 + 0.66 * unit(0);
    let warmth = hue + 0.08 + 0.1 * unit(1);
    let zenith = from_hsl(hue, 0.42, 0.34);
    let horizon = from_hsl(warmth, 0.55, 0.74);
    // Beside the mark, never behind it.
    let sun_side = if seed[31].is_multiple_of(2) { 0.12 } else { 0.68 };
    let (sun_x, sun_y) = (sun_side + 0.2 * unit(2), 0.22 + 0.18 * unit(3));
    let sun_radius = 0.075 + 0.03 * unit(4);
    let sun = from_hsl(warmth + 0.05, 0.7, 0.9);
    let aspect = ratio(width, height);

    let mut picture = RgbImage::new(width, height);
    let mut skylines: Vec<Vec<f32>> = Vec::new();
    for range in 0..RANGES {
        let at = 5 + 4 * usize::from(range);
        let base = 0.55 + 0.11 * f32::from(range);
        let phases = [unit(at), unit(at + 1), unit(at + 2)];
        let stretch = 1.0 + unit(at + 3);
        let skyline = (0..width).map(|x| base - 0.05 * waves(ratio(x, width) * stretch, phases));
        skylines.push(skyline.collect());
    }
    let hills: Vec<Colour> = (0..RANGES)
        .map(|range| {
            let nearness = f32::from(range + 1) / f32::from(RANGES);
            from_hsl(
                hue + 0.03 * nearness,
                0.3 + 0.12 * nearness,
                0.52 - 0.38 * nearness,
            )
        })
        .collect();

    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (across, down) = (ratio(x, width), ratio(y, height));
        let mut colour = mix(zenith, horizon, (down / 0.75).min(1.0));
        let distance = ((across - sun_x) * aspect).hypot(down - sun_y);
        colour = mix(
            colour,
            sun,
            0.45 * (1.0 - distance / 0.42).clamp(0.0, 1.0).powi(2),
        );
        colour = mix(colour, sun, edge(sun_radius - distance, height));
        for (skyline, hill) in skylines.iter().zip(&hills) {
            let depth = down - skyline[usize::try_from(x).unwrap_or(0)];
            // Hills fade into haze towards their feet, which sets the ranges apart.
            let shade = mix(*hill, horizon, 0.22 * (depth * 3.0).clamp(0.0, 1.0));
            colour = mix(colour, shade, edge(depth, height));
        }
        let (pod, seeds) = pod_at((across - 0.5) * aspect, down - 0.46, height);
        colour = mix(colour, [1.0; 3], 0.88 * pod);
        colour = mix(colour, zenith, seeds);
        *pixel = Rgb(colour.map(to_byte));
    }
    picture
}

/// How much of a pixel the mark covers: its body, a slanted lens, and the three seeds in it.
fn pod_at(x: f32, y: f32, height: u32) -> (f32, f32) {
    let (sin, cos) = (-0.5f32).sin_cos();
    let (along, aside) = (x * cos + y * sin, y * cos - x * sin);
    // A lens is what two discs have in common.
    let (radius, apart) = (0.2, 0.12);
    let lens = (radius - along.hypot(aside - apart)).min(radius - along.hypot(aside + apart));
    let seed = [-0.078, 0.0, 0.078].map(|place: f32| {
        let size = if place == 0.0 { 0.036 } else { 0.026 };
        size - (along - place).hypot(aside)
    });
    let seeds = seed.into_iter().fold(f32::MIN, f32::max);
    (edge(lens, height), edge(seeds.min(lens), height))
}

/// A line of hills, between -1 and 1.
fn waves(x: f32, phases: [f32; 3]) -> f32 {
    let wave = |times: f32, phase: f32| (std::f32::consts::TAU * (x * times + phase)).sin();
    (wave(0.7, phases[0]) + 0.5 * wave(1.7, phases[1]) + 0.22 * wave(3.9, phases[2])) / 1.72
}

/// Coverage of a pixel whose centre lies this far inside a shape, as a part of the picture's height.
fn edge(inside: f32, height: u32) -> f32 {
    (inside * ratio(height, 1) + 0.5).clamp(0.0, 1.0)
}

fn mix(under: Colour, over: Colour, amount: f32) -> Colour {
    std::array::from_fn(|channel| under[channel] + (over[channel] - under[channel]) * amount)
}

fn from_hsl(hue: f32, saturation: f32, lightness: f32) -> Colour {
    let strength = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|offset: f32| {
        let turn = (offset + hue.rem_euclid(1.0) * 12.0) % 12.0;
        lightness - strength * (turn - 3.0).min(9.0 - turn).clamp(-1.0, 1.0)
    })
}

/// Sides of pictures are far below where `f32` loses whole numbers.
fn ratio(part: u32, whole: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "both are sides of a small picture")]
    let ratio = part as f32 / whole as f32;
    ratio
}

fn to_byte(channel: f32) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of a byte"
    )]
    let byte = (channel.clamp(0.0, 1.0) * 255.0).round() as u8;
    byte
}

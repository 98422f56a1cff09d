//! How a picture is drawn from random bytes: a carpet of coloured shapes, the same on its left and right side. It is to be recognised, not to be
//! described; nobody who has not seen it can draw it.

use std::fmt::Write as _;

/// Bytes that a picture is drawn from.
pub(crate) const SEED_LEN: usize = 18;
/// Rows, and columns before the middle one is passed.
const ROWS: usize = 5;
const HALF: usize = 3;
/// The side of a field.
const SIDE: usize = 20;

/// The picture as SVG: 75 bits choose its shapes and which colour each has, 24 the colours.
pub(crate) fn draw(seed: &[u8; SEED_LEN]) -> String {
    let [ground, first, second, fields @ ..] = seed;
    let hue = |byte: u8| u32::from(byte) * 360 / 256;
    // Colours of any seed differ in lightness too, for those who see colours otherwise.
    let colours = [
        format!("hsl({} 70% 35%)", hue(*first)),
        format!("hsl({} 80% 55%)", hue(*second)),
        "hsl(0 0% 15%)".to_owned(),
        "hsl(0 0% 98%)".to_owned(),
    ];
    let side = SIDE * (2 * HALF - 1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\"><rect width=\"{side}\" height=\"{side}\" \
         fill=\"hsl({} 60% 82%)\"/>",
        hue(*ground)
    );
    for (number, byte) in fields.iter().enumerate() {
        let (row, column) = (number / HALF, number % HALF);
        debug_assert!(row < ROWS);
        let colour = &colours[usize::from(byte >> 6)];
        for column in [column, 2 * HALF - 2 - column] {
            let _ = write!(svg, "<path fill=\"{colour}\" d=\"{}\"/>", shape(byte & 7, column * SIDE, row * SIDE));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A shape in the field whose upper left corner is there; the last one is none.
fn shape(number: u8, x: usize, y: usize) -> String {
    let half = SIDE / 2;
    match number {
        0 => format!("M{x} {y}h{SIDE}v{SIDE}h-{SIDE}z"),
        1 => format!("M{} {y}l{half} {half}l-{half} {half}l-{half} -{half}z", x + half),
        2 => format!("M{x} {}a{half} {half} 0 1 0 {SIDE} 0a{half} {half} 0 1 0 -{SIDE} 0z", y + half),
        3 => format!("M{} {y}l{half} {SIDE}h-{SIDE}z", x + half),
        4 => format!("M{x} {y}h{SIDE}l-{half} {SIDE}z"),
        5 => format!("M{x} {}h{SIDE}v{half}h-{SIDE}z", y + half),
        6 => format!("M{} {}h{half}v{half}h-{half}z", x + half / 2, y + half / 2),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_picture_and_other_seeds_have_others() {
        assert_ne!(draw(&[0; SEED_LEN]), draw(&[0xff; SEED_LEN]));
        // Fields of both colours.
        let plain: [u8; SEED_LEN] = std::array::from_fn(|place| if place % 2 == 0 { 0 } else { 0x40 });
        for place in 0..SEED_LEN {
            let mut seed = plain;
            // Of a field three bits make its shape and two its colour.
            seed[place] ^= 0x41;
            assert_ne!(draw(&seed), draw(&plain), "byte {place}");
        }
        let plain = draw(&plain);
        assert!(!plain.contains("script") && plain.matches("<path").count() == 2 * ROWS * HALF);
    }
}

//! Where on the sky: the whole of it in Mollweide's projection, or a small part in
//! plate carrée, east to the left as seen from the ground.
//!
//! Many rows are a map of their density on HEALPix cells, drawn as a picture within
//! the SVG; few are dots. `data-sky` tells the page's script how pixels are positions:
//! `mollweide` with the map's edge, its width and the right ascension in its middle, or
//! `plate` with the frame (left, right, bottom, top) and what lies there.

use maud::{Markup, html};

use super::axis::{Axis, Frame};
use super::{UNNAMED, at, colour, viridis};
use crate::words::count;

/// Order of the HEALPix cells of the density: 0.92 degrees wide.
pub const ORDER: u8 = 6;

/// Cells of that order.
pub const CELLS: usize = 12 << (2 * ORDER);

/// A galaxy on a map: right ascension and declination in degrees, and the place of
/// its colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Right ascension, 0 to 360.
    pub ra: f64,
    /// Declination, −90 to 90.
    pub dec: f64,
    /// The place of its colour; none has it from as many on as there are.
    pub colour: usize,
}

/// Mollweide's projection of the sphere: longitude −180 to 180 and latitude in
/// degrees to x in −2…2 and y in −1…1 (Snyder 1987, equations 31-1 to 31-4, with
/// R√2 = 1).
pub fn mollweide(longitude: f64, latitude: f64) -> (f64, f64) {
    let sine = std::f64::consts::PI * latitude.to_radians().sin();
    // Newton's iteration on 2θ; at the poles it is ±π.
    let mut double = 2.0 * latitude.to_radians();
    if latitude.abs() > 89.999 {
        double = std::f64::consts::PI.copysign(latitude);
    } else {
        for _ in 0..50 {
            let step = (double + double.sin() - sine) / (1.0 + double.cos());
            double -= step;
            if step.abs() < 1e-10 {
                break;
            }
        }
    }
    let theta = double / 2.0;
    (longitude / 90.0 * theta.cos(), theta.sin())
}

/// The inverse: `None` outside of the map.
pub fn from_mollweide(x: f64, y: f64) -> Option<(f64, f64)> {
    let theta = (y.abs() <= 1.0).then(|| y.asin())?;
    let sine = (2.0 * theta + (2.0 * theta).sin()) / std::f64::consts::PI;
    let longitude = 90.0 * x / theta.cos().max(1e-9);
    (longitude.abs() <= 180.0).then(|| (longitude, sine.clamp(-1.0, 1.0).asin().to_degrees()))
}

/// The right ascension in the middle of the whole sky.
const MIDDLE: f64 = 180.0;

/// From the middle, −180 to 180, west positive: to the right.
fn from_middle(ra: f64, middle: f64) -> f64 {
    -((ra - middle + 540.0).rem_euclid(360.0) - 180.0)
}

/// The pixels of a map of density over the whole sky, `width` by half of it, as red,
/// green, blue and opacity, and the greatest number of rows in a cell.
pub fn density(cells: &[u32], width: usize) -> (Vec<u8>, u32) {
    let most = cells.iter().copied().max().unwrap_or(0);
    let mut pixels = vec![0; 4 * width * (width / 2)];
    // Logarithmic: surveys have deep fields.
    let strength = |rows: u32| f64::from(rows).ln_1p() / f64::from(most).ln_1p().max(1e-9);
    for (place, pixel) in pixels.chunks_exact_mut(4).enumerate() {
        let x = ((place % width) as f64 + 0.5) / width as f64 * 4.0 - 2.0;
        let y = 1.0 - ((place / width) as f64 + 0.5) / (width / 2) as f64 * 2.0;
        let Some((longitude, latitude)) = from_mollweide(x, y) else { continue };
        let ra = (MIDDLE - longitude).rem_euclid(360.0).to_radians();
        let cell = cdshealpix::nested::hash(ORDER, ra, latitude.to_radians()) as usize;
        if let Some(rows) = cells.get(cell).copied().filter(|rows| *rows > 0) {
            pixel[..3].copy_from_slice(&viridis(strength(rows)));
            pixel[3] = 255;
        }
    }
    (pixels, most)
}

/// The whole sky. `picture` is a data URL of the map of density, if there is one;
/// dots are drawn on it.
pub fn whole(title: &str, picture: Option<&str>, dots: &[Dot], colours: usize) -> Markup {
    const WIDTH: f64 = 720.0;
    const EDGE: f64 = 14.0;
    let point = |ra: f64, dec: f64| {
        let (x, y) = mollweide(from_middle(ra, MIDDLE), dec);
        (EDGE + (x + 2.0) / 4.0 * WIDTH, EDGE + (1.0 - y) / 2.0 * (WIDTH / 2.0))
    };
    let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
        let points: Vec<String> = points.map(|(x, y)| format!("{} {}", at(x), at(y))).collect();
        format!("M{}", points.join("L"))
    };
    let meridian = |longitude: f64| {
        // Just within the edge, so that both edges are themselves.
        let ra = MIDDLE - longitude * 0.999_999;
        path(&mut (-30..=30).map(|step| point(ra, f64::from(step) * 3.0)))
    };
    let parallel = |dec: f64| {
        path(&mut (-60..=60).map(|step| point(MIDDLE - f64::from(step) * 2.999_99, dec)))
    };
    let (width, height) = (WIDTH + 2.0 * EDGE, WIDTH / 2.0 + 2.0 * EDGE);
    html! {
        svg class="sky" viewBox=(format!("0 0 {} {}", at(width), at(height))) role="img"
            aria-label=(title) data-sky=(format!("mollweide {} {} {MIDDLE}", at(EDGE), at(WIDTH))) {
            @if let Some(url) = picture {
                image href=(url) x=(at(EDGE)) y=(at(EDGE)) width=(at(WIDTH)) height=(at(WIDTH / 2.0)) {}
            }
            @for longitude in [-120.0, -60.0, 0.0, 60.0, 120.0] {
                path class="graticule" d=(meridian(longitude)) {}
            }
            @for longitude in [-180.0, 180.0] { path class="tick" d=(meridian(longitude)) {} }
            @for dec in [-60.0, -30.0, 0.0, 30.0, 60.0] {
                path class="graticule" d=(parallel(dec)) {}
            }
            (dotted(dots, colours, &point))
            @for ra in [60.0, 120.0, 180.0, 240.0, 300.0] {
                @let (x, y) = point(ra, 0.0);
                text class="halo" x=(at(x + 3.0)) y=(at(y - 4.0)) { (format!("{ra:.0}°")) }
            }
            @for dec in [-60.0, -30.0, 30.0, 60.0] {
                @let (x, y) = point(MIDDLE, dec);
                text class="halo" x=(at(x + 3.0)) y=(at(y - 4.0)) { (format!("{dec:+.0}°")) }
            }
        }
    }
}

/// What a small part of the sky spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Right ascension of its middle, in degrees.
    pub middle: f64,
    /// Degrees of right ascension, and of declination from and to.
    pub width: f64,
    /// Least declination.
    pub from: f64,
    /// Greatest declination.
    pub to: f64,
}

/// The part of the sky on which all dots lie, with some room, if it is small: less
/// than 100 degrees of right ascension wide, and away from the poles.
pub fn part(dots: &[Dot]) -> Option<Part> {
    let mut around: Vec<f64> = dots.iter().map(|dot| dot.ra.rem_euclid(360.0)).collect();
    around.sort_by(f64::total_cmp);
    let (first, last) = (*around.first()?, *around.last()?);
    // Where nothing lies is widest: from there on.
    let gaps = around.windows(2).map(|pair| (pair[1] - pair[0], pair[1]));
    let wrap = (first + 360.0 - last, first);
    let (gap, start) = gaps.chain([wrap]).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let (least, greatest) = dots
        .iter()
        .fold((90.0f64, -90.0f64), |(low, high), dot| (low.min(dot.dec), high.max(dot.dec)));
    let width = 360.0 - gap;
    if width > 100.0 || least < -75.0 || greatest > 75.0 {
        return None;
    }
    let room = |span: f64| (span * 0.06).max(0.002);
    let (from, to) = (least - room(greatest - least), greatest + room(greatest - least));
    let middle = (start + width / 2.0).rem_euclid(360.0);
    Some(Part { middle, width: width + 2.0 * room(width), from, to })
}

/// A part of the sky, with its dots.
pub fn plate(title: &str, part: &Part, dots: &[Dot], colours: usize) -> Markup {
    // As wide as it is on the sky, within what a page has room for.
    let shrink = ((part.from + part.to) / 2.0).to_radians().cos().max(0.05);
    let ratio = (part.width * shrink) / (part.to - part.from).max(1e-9);
    let inside = 652.0;
    let high = (inside / ratio).clamp(150.0, 420.0);
    let frame = Frame::new(720.0, high + 52.0);
    // The axis rises to the left; values beyond 0 or 360 are named within.
    let (left, right) = (part.middle + part.width / 2.0, part.middle - part.width / 2.0);
    let across = Axis::new("right ascension (°)", right, left, 6);
    let up = Axis::new("declination (°)", part.from, part.to, 5);
    let x = |ra: f64| frame.x(1.0 - across.place(part.middle - from_middle(ra, part.middle)));
    let point = |ra: f64, dec: f64| (x(ra), frame.y(up.place(dec)));
    let (bottom, top) = (frame.y(0.0), frame.y(1.0));
    html! {
        svg class="sky" viewBox=(format!("0 0 {} {}", frame.width, at(frame.height))) role="img"
            aria-label=(title) data-sky=(format!(
                "plate {} {} {} {} {left} {right} {} {}",
                at(frame.x(0.0)), at(frame.x(1.0)), at(bottom), at(top), part.from, part.to
            )) {
            @for tick in up.ticks() {
                @let y = frame.y(up.place(tick));
                path class="grid" d=(format!("M{} {}H{}", at(frame.x(0.0)), at(y), at(frame.x(1.0)))) {}
                text x=(at(frame.x(0.0) - 6.0)) y=(at(y + 4.0)) text-anchor="end" { (up.label(tick)) }
            }
            @for tick in across.ticks() {
                @let x = frame.x(1.0 - across.place(tick));
                path class="grid" d=(format!("M{} {}V{}", at(x), at(bottom), at(top))) {}
                text x=(at(x)) y=(at(bottom + 17.0)) text-anchor="middle" {
                    (across.label(if (0.0..360.0).contains(&tick) { tick } else { tick.rem_euclid(360.0) }))
                }
            }
            text class="title" x=(at((frame.x(0.0) + frame.x(1.0)) / 2.0)) y=(at(frame.height - 6.0))
                text-anchor="middle" { (across.title) }
            text class="title" x="12" y=(at((top + bottom) / 2.0)) text-anchor="middle"
                transform=(format!("rotate(-90 12 {})", at((top + bottom) / 2.0))) { (up.title) }
            (dotted(dots, colours, &point))
        }
    }
}

/// The dots of each colour as one path: round ends of lines without length. A colour
/// beyond those that there are is that of what has no name.
fn dotted(dots: &[Dot], colours: usize, point: &dyn Fn(f64, f64) -> (f64, f64)) -> Markup {
    let width = if dots.len() > 1500 {
        "2"
    } else if dots.len() > 300 {
        "3"
    } else {
        "5"
    };
    html! {
        @for hue in 0..=colours {
            @let of_colour: Vec<&Dot> = dots.iter().filter(|dot| dot.colour.min(colours) == hue).collect();
            @let class = if hue < colours { colour(hue) } else { UNNAMED.to_owned() };
            @if !of_colour.is_empty() {
                path class=(format!("dots {class}")) stroke-width=(width) d=({
                    let mut path = String::new();
                    for dot in of_colour {
                        let (x, y) = point(dot.ra, dot.dec);
                        path += &format!("M{} {}h0", at(x), at(y));
                    }
                    path
                }) {}
            }
        }
    }
}

/// What the colours of a map of density mean.
pub fn scale(most: u32) -> Markup {
    html! {
        p class="scale" {
            "1 row "
            svg class="key wide" viewBox="0 0 120 10" aria-hidden="true" {
                @for step in 0..24 {
                    @let [r, g, b] = viridis(f64::from(step) / 23.0);
                    rect x=(step * 5) y="0" width="5.5" height="10" fill=(format!("#{r:02x}{g:02x}{b:02x}")) {}
                }
            }
            " " (count(u64::from(most))) " rows a cell of 0.84 square degrees, logarithmic"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mollweide_keeps_areas_and_comes_back() {
        for longitude in [-179.0, -90.0, -1.0, 0.0, 33.3, 120.0] {
            for latitude in [-89.0, -60.0, -0.5, 0.0, 45.0, 88.0] {
                let (x, y) = mollweide(longitude, latitude);
                let (back, up) = from_mollweide(x, y).unwrap();
                assert!((back - longitude).abs() < 1e-4 && (up - latitude).abs() < 1e-4);
            }
        }
        assert_eq!(mollweide(180.0, 0.0), (2.0, 0.0));
        assert!((mollweide(0.0, 90.0).1 - 1.0).abs() < 1e-12);
        // Half of the sphere lies between ±30 degrees, and half of the ellipse: y of
        // 30 degrees cuts off a quarter of its area on each side.
        let y = mollweide(0.0, 30.0).1;
        let share = (y.asin() + y * (1.0 - y * y).sqrt()) * 2.0 / std::f64::consts::PI;
        assert!((share - 0.5).abs() < 1e-9, "{share}");
        assert_eq!(from_mollweide(1.9, 0.9), None);
    }

    #[test]
    fn east_is_to_the_left() {
        assert!(from_middle(200.0, 180.0) < 0.0 && from_middle(160.0, 180.0) > 0.0);
        assert!(from_middle(5.0, 355.0) < 0.0, "across 0");
        let mut cells = vec![0; CELLS];
        let hash = |ra: f64, dec: f64| {
            cdshealpix::nested::hash(ORDER, ra.to_radians(), dec.to_radians()) as usize
        };
        cells[hash(270.0, 0.0)] = 7;
        // As wide as a report draws it: no cell lies between two pixels.
        let width = 1080;
        let (pixels, most) = density(&cells, width);
        let lit = (0..width * width / 2).filter(|place| pixels[4 * place + 3] > 0);
        let columns: Vec<usize> = lit.map(|place| place % width).collect();
        assert_eq!(most, 7);
        assert!(!columns.is_empty() && columns.iter().all(|x| *x < width / 3), "{columns:?}");
        assert_eq!(density(&vec![0; CELLS], 40).1, 0);
    }

    #[test]
    fn a_part_is_found_across_the_beginning_of_right_ascension() {
        let dot = |ra, dec| Dot { ra, dec, colour: 0 };
        let found = part(&[dot(359.0, 1.0), dot(1.0, -1.0), dot(2.0, 0.0)]).unwrap();
        assert!((found.middle - 0.5).abs() < 1e-9, "{found:?}");
        assert!(found.width > 3.0 && found.width < 4.0 && found.from < -1.0 && found.to > 1.0);
        assert_eq!(part(&[dot(0.0, 0.0), dot(90.0, 0.0), dot(180.0, 0.0), dot(270.0, 0.0)]), None);
        assert_eq!(part(&[]), None);
        let one = part(&[dot(10.0, 20.0)]).unwrap();
        let drawn = plate("sky", &one, &[dot(10.0, 20.0)], 1).into_string();
        assert!(!drawn.contains("NaN") && drawn.contains("h0"), "{drawn}");
        // What has no name has none of the names' colours.
        let nameless = [dot(10.0, 20.0), Dot { colour: 8, ..dot(10.5, 20.0) }];
        let drawn = plate("sky", &part(&nameless).unwrap(), &nameless, 8).into_string();
        assert!(drawn.contains("dots c0") && drawn.contains("dots unnamed"), "{drawn}");
        // To the left what has more right ascension.
        let two = [dot(10.0, 0.0), dot(11.0, 0.0)];
        let drawn = plate("sky", &part(&two).unwrap(), &two, 1).into_string();
        let path = drawn.split("dots").nth(1).unwrap().split("d=\"").nth(1).unwrap();
        let xs: Vec<f64> = path
            .split('"')
            .next()
            .unwrap()
            .split('M')
            .skip(1)
            .map(|p| p.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(xs[1] < xs[0], "{xs:?}");
    }
}

//! Clouds of points on a plane, side by side, as SVG: galaxies by class, or by a
//! number.
//!
//! A cloud of a class is one path of strokes of no length, so that a hundred thousand
//! points take 2 MB. Invariant: whatever texts hold comes out as text, and the same
//! clouds give the same bytes.

use std::fmt::Write;

use super::colours;

/// Points of one colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// What they are; the legend has it.
    pub name: String,
    /// Their colour.
    pub colour: [u8; 3],
    /// Where they lie.
    pub places: Vec<[f64; 2]>,
}

/// A cloud.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    /// What stands above it.
    pub title: String,
    /// What its axes are; "" where they mean nothing.
    pub axes: [String; 2],
    /// Its points, those of the last on top.
    pub points: Vec<Points>,
}

/// What the colours mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Legend {
    /// Each its name.
    Names,
    /// A number's, from the first to the second.
    Scale {
        /// Which number.
        name: String,
        /// At the dark end.
        low: f64,
        /// At the light end.
        high: f64,
    },
}

/// Side of a cloud, and what lies around it.
const SIDE: f64 = 480.0;
const AROUND: f64 = 28.0;
const BELOW: f64 = 58.0;

/// Draws clouds side by side, with one legend below.
///
/// # Panics
/// If there are none.
pub fn draw(clouds: &[Cloud], legend: &Legend) -> String {
    assert!(!clouds.is_empty(), "something to draw");
    let width = AROUND + (SIDE + AROUND) * clouds.len() as f64;
    let lines = match legend {
        Legend::Names => entries(clouds, width).last().map_or(0, |entry| entry.line),
        Legend::Scale { .. } => 0,
    };
    let height = AROUND + SIDE + BELOW + LINE * lines as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (place, cloud) in clouds.iter().enumerate() {
        one(&mut svg, cloud, AROUND + (SIDE + AROUND) * place as f64);
    }
    let line = AROUND + SIDE + 42.0;
    match legend {
        Legend::Names => names(&mut svg, clouds, width, line),
        Legend::Scale { name, low, high } => scale(&mut svg, name, *low, *high, line),
    }
    svg.push_str("</svg>\n");
    svg
}

/// A cloud with its frame, from `left` on.
fn one(svg: &mut String, cloud: &Cloud, left: f64) {
    let all = || cloud.points.iter().flat_map(|points| &points.places);
    let bounds = [0, 1].map(|k| {
        let of = |start: f64, of: fn(f64, f64) -> f64| all().map(|at| at[k]).fold(start, of);
        (of(f64::INFINITY, f64::min), of(f64::NEG_INFINITY, f64::max))
    });
    // One scale for both axes: distances mean something.
    let wide = bounds.iter().map(|(low, high)| high - low).fold(0.0_f64, f64::max);
    let scale = if wide > 0.0 { 0.94 * SIDE / wide } else { 1.0 };
    let middle = bounds.map(|(low, high)| f64::midpoint(low, high));
    let count = all().count();
    let size = (220.0 / (count.max(1) as f64).sqrt()).clamp(1.2, 5.0);
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"18\" font-weight=\"bold\">{}</text>\n\
         <rect x=\"{left}\" y=\"{AROUND}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#999999\"/>",
        escaped(&cloud.title)
    );
    for points in cloud.points.iter().filter(|points| !points.places.is_empty()) {
        let _ = write!(
            svg,
            "<path fill=\"none\" stroke=\"{}\" stroke-width=\"{size:.1}\" stroke-linecap=\"round\" \
             stroke-opacity=\"0.75\" d=\"",
            hex(points.colour)
        );
        for at in &points.places {
            let x = left + SIDE / 2.0 + scale * (at[0] - middle[0]);
            let y = AROUND + SIDE / 2.0 - scale * (at[1] - middle[1]);
            let _ = write!(svg, "M{x:.1} {y:.1}h0");
        }
        svg.push_str("\"/>\n");
    }
    let [across, up] = &cloud.axes;
    if !across.is_empty() {
        let (x, y) = (left + SIDE / 2.0, AROUND + SIDE + 16.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
            escaped(across)
        );
    }
    if !up.is_empty() {
        let (x, y) = (left - 8.0, AROUND + SIDE / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\">{}</text>",
            escaped(up)
        );
    }
}

/// Between two lines of a legend.
const LINE: f64 = 18.0;

/// A name in the legend.
struct Entry<'a> {
    points: &'a Points,
    x: f64,
    line: usize,
}

/// The names of all points, each once, in as many lines as they need.
fn entries(clouds: &[Cloud], width: f64) -> Vec<Entry<'_>> {
    let mut all: Vec<Entry<'_>> = Vec::new();
    let (mut x, mut line) = (AROUND, 0);
    for points in clouds.iter().flat_map(|cloud| &cloud.points) {
        if all.iter().any(|entry| entry.points.name == points.name) {
            continue;
        }
        let wide = 36.0 + 8.0 * points.name.chars().count() as f64;
        if x + wide > width && x > AROUND {
            (x, line) = (AROUND, line + 1);
        }
        all.push(Entry { points, x, line });
        x += wide;
    }
    all
}

/// The legend, whose first line is at `top`.
fn names(svg: &mut String, clouds: &[Cloud], width: f64, top: f64) {
    for Entry { points, x, line } in entries(clouds, width) {
        let y = top + LINE * line as f64;
        let _ = writeln!(
            svg,
            "<circle cx=\"{}\" cy=\"{}\" r=\"5\" fill=\"{}\"/><text x=\"{}\" y=\"{y}\">{}</text>",
            x + 6.0,
            y - 5.0,
            hex(points.colour),
            x + 16.0,
            escaped(&points.name)
        );
    }
}

/// The colours of a number.
fn scale(svg: &mut String, name: &str, low: f64, high: f64, line: f64) {
    const STEPS: usize = 64;
    let (left, wide) = (AROUND + 60.0, 240.0);
    for step in 0..STEPS {
        let part = step as f64 / STEPS as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{:.2}\" y=\"{}\" width=\"{:.2}\" height=\"10\" fill=\"{}\"/>",
            left + wide * part,
            line - 10.0,
            wide / STEPS as f64 + 0.5,
            hex(colours::viridis(part as f32)),
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{line}\" text-anchor=\"end\">{low}</text>\
         <text x=\"{}\" y=\"{line}\">{high}  {}</text>",
        left - 6.0,
        left + wide + 8.0,
        escaped(name)
    );
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// A text as XML has it: marks as entities, and what XML cannot hold, or what would
/// turn the text around, as U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}');
            }
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_keep_their_shape_and_texts_are_texts() {
        let points = |name: &str, places: &[[f64; 2]]| Points {
            name: name.to_owned(),
            colour: [1, 2, 255],
            places: places.to_vec(),
        };
        let cloud = Cloud {
            title: "<script>\u{202e}\n\"&".to_owned(),
            axes: ["first".into(), String::new()],
            points: vec![points("a", &[[0.0, 0.0], [10.0, 5.0]]), points("b<", &[[5.0, 2.5]])],
        };
        let svg = draw(&[cloud.clone(), cloud], &Legend::Names);
        assert!(
            !svg.contains("<script>") && svg.contains("&lt;script&gt;\u{fffd}\u{fffd}&quot;&amp;")
        );
        assert!(svg.contains("#0102ff") && svg.contains("b&lt;"));
        // Ends of the wider axis are 94 % of a side apart; north is up.
        assert!(svg.contains("M42.4 380.8h0M493.6 155.2h0"), "{svg}");
        assert_eq!(svg.matches("<path").count(), 4);
        // The legend names each once.
        assert_eq!(svg.matches("<circle").count(), 2);
        let mut reader = quick_xml::Reader::from_str(&svg);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
    }

    #[test]
    fn a_legend_of_many_names_takes_more_lines() {
        let named = |k: u8| Points {
            name: format!("class number {k}"),
            colour: [k, 0, 0],
            places: vec![[f64::from(k), 0.0]],
        };
        let points = (0..10).map(named).collect();
        let cloud = Cloud { title: "t".into(), axes: Default::default(), points };
        let width = 2.0 * AROUND + SIDE;
        let clouds = [cloud];
        let all = entries(&clouds, width);
        assert_eq!(all.len(), 10);
        assert!(all.iter().all(|e| e.x + 36.0 + 8.0 * 14.0 <= width));
        let lines = all.last().unwrap().line;
        assert!(lines > 1);
        let height = AROUND + SIDE + BELOW + LINE * lines as f64;
        assert!(draw(&clouds, &Legend::Names).contains(&format!("height=\"{height}\"")));
    }

    #[test]
    fn a_scale_tells_its_ends_and_one_point_is_drawn() {
        let one = Points { name: String::new(), colour: [9, 9, 9], places: vec![[3.0, 3.0]] };
        let cloud = Cloud { title: "t".into(), axes: Default::default(), points: vec![one] };
        let legend = Legend::Scale { name: "oddness".into(), low: 0.0, high: 100.0 };
        let svg = draw(&[cloud], &legend);
        assert!(svg.contains(">0</text>") && svg.contains("100  oddness"), "{svg}");
        assert!(svg.contains("M268.0 268.0h0"), "{svg}");
    }
}

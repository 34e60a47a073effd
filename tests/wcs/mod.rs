//! Celestial coordinates against astropy: `tests/oracles/wcs.py` makes the
//! headers and says where their pixels lie.

use hiwl::cutout::SkyPosition;
use hiwl::cutout::wcs::{Keywords, Value, Wcs};
use serde_json::{Map, Value as Json};

use crate::util::python::oracle;

/// Most that a position may be off, degrees: a tenth of a milliarcsecond.
const TOLERANCE: f64 = 0.1e-3 / 3600.0;

/// Most that a pixel may be off after the way to the sky and back.
const ROUND_TRIP: f64 = 1e-6;

struct Header<'a>(&'a Map<String, Json>);

impl Keywords for Header<'_> {
    fn value(&self, keyword: &str) -> Option<Value> {
        Some(match self.0.get(keyword)? {
            Json::Number(number) => Value::Number(number.as_f64()?),
            Json::String(text) => Value::Text(text.clone()),
            other => Value::Other(other.to_string()),
        })
    }

    fn any_begins(&self, start: &str) -> bool {
        self.0.keys().any(|name| name.starts_with(start))
    }
}

/// The angle between two positions, degrees.
fn separation(a: SkyPosition, b: SkyPosition) -> f64 {
    let half = |angle: f64| (0.5 * angle).to_radians().sin().powi(2);
    let cosines = a.dec.to_radians().cos() * b.dec.to_radians().cos();
    2.0 * (half(a.dec - b.dec) + cosines * half(a.ra - b.ra)).sqrt().min(1.0).asin().to_degrees()
}

fn check(case: &Json) -> Result<(), String> {
    let header = Header(case["header"].as_object().expect("a header"));
    let wcs = match Wcs::from_header(&header) {
        Ok(Some(wcs)) => wcs,
        Ok(None) => return Err("no WCS".to_owned()),
        Err(_) if case["points"].is_null() => return Ok(()),
        Err(e) => return Err(format!("refused: {e}")),
    };
    let points = case["points"].as_array().ok_or("accepted, which astropy does not")?;
    for point in points {
        let number = |i: usize| point[i].as_f64();
        let (x, y) = (number(0).expect("x"), number(1).expect("y"));
        let expected = number(2).zip(number(3)).map(|(ra, dec)| SkyPosition { ra, dec });
        let found = wcs.pixel_to_sky(x, y);
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => {
                let off = separation(found, expected);
                let near = off <= TOLERANCE && (0.0..360.0).contains(&found.ra);
                if !near {
                    let mas = off * 3.6e6;
                    return Err(format!("({x}, {y}): {found:?}, not {expected:?}: {mas:.3} mas"));
                }
                let Some((u, v)) = wcs.sky_to_pixel(found) else {
                    return Err(format!("({x}, {y}): no way back from {found:?}"));
                };
                let back = (u - x).abs() <= ROUND_TRIP && (v - y).abs() <= ROUND_TRIP;
                if !back {
                    return Err(format!("({x}, {y}): back at ({u}, {v})"));
                }
            }
            _ => return Err(format!("({x}, {y}): {found:?}, not {expected:?}")),
        }
    }
    Ok(())
}

#[test]
fn positions_are_those_of_astropy() {
    let cases: Vec<Json> = serde_json::from_str(&oracle("wcs.py", &[])).expect("JSON");
    assert!(cases.len() > 800, "{}", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case["name"], check(case).err()?)))
        .collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

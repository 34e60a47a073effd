//! What the definitions say of single headers; `tests/wcs.rs` holds hundreds
//! against astropy.

use std::collections::BTreeMap;

use super::*;

#[derive(Clone)]
struct Cards(BTreeMap<&'static str, Value>);

impl Keywords for Cards {
    fn value(&self, keyword: &str) -> Option<Value> {
        self.0.get(keyword).cloned()
    }

    fn any_begins(&self, start: &str) -> bool {
        self.0.keys().any(|name| name.starts_with(start))
    }
}

impl Cards {
    fn tan() -> Self {
        let text = |t: &str| Value::Text(t.to_owned());
        Self(BTreeMap::from([
            ("CTYPE1", text("RA---TAN")),
            ("CTYPE2", text("DEC--TAN")),
            ("CRPIX1", Value::Number(51.0)),
            ("CRPIX2", Value::Number(51.0)),
            ("CRVAL1", Value::Number(150.25)),
            ("CRVAL2", Value::Number(2.5)),
            ("CDELT1", Value::Number(-1e-4)),
            ("CDELT2", Value::Number(2e-4)),
        ]))
    }

    fn with(mut self, keyword: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(keyword, value.into());
        self
    }

    fn without(mut self, keyword: &str) -> Self {
        self.0.remove(keyword);
        self
    }

    fn error(&self) -> String {
        Wcs::from_header(self).unwrap_err().to_string()
    }

    fn wcs(&self) -> Wcs {
        Wcs::from_header(self).unwrap().unwrap()
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[test]
fn the_reference_pixel_is_the_reference_position() {
    let p = Cards::tan().wcs().pixel_to_sky(51.0, 51.0).unwrap();
    assert!((p.ra - 150.25).abs() < 1e-12 && (p.dec - 2.5).abs() < 1e-12, "{p:?}");
}

#[test]
fn a_header_without_celestial_axes_has_no_wcs() {
    assert!(Wcs::from_header(&Cards(BTreeMap::new())).unwrap().is_none());
    for linear in ["LINEAR", "PIXEL", "", "WAVE"] {
        let header = Cards::tan().with("CTYPE1", linear).with("CTYPE2", linear);
        assert!(Wcs::from_header(&header).unwrap().is_none(), "{linear}");
    }
}

#[test]
fn what_is_not_applied_is_told() {
    let tan = Cards::tan;
    let both = |a: &'static str, b: &'static str| tan().with("CTYPE1", a).with("CTYPE2", b);
    for (header, told) in [
        (both("RA---TNX", "DEC--TNX"), "TNX"),
        (both("ELON-TAN", "ELAT-TAN"), "ELON-TAN"),
        (both("RA---TAN", "DEC--SIN"), "DEC--SIN"),
        (both("RA", "DEC"), "RA"),
        (both("ra---tan", "dec--tan"), "ra---tan"),
        (both("RA---TAN", "VELO"), "VELO"),
        (both("VELO", "FREQ").with("CTYPE3", "RA---TAN"), "CTYPE3"),
        (tan().without("CRVAL2"), "CRVAL2"),
        (tan().without("CRPIX1"), "CRPIX1"),
        (tan().without("CDELT1"), "CDELT1"),
        (tan().with("CRVAL2", "north"), "CRVAL2"),
        (tan().with("CRVAL2", 91.0), "pole"),
        (tan().with("CDELT1", 0.0), "inverse"),
        (tan().with("CUNIT1", "furlong"), "CUNIT1"),
        (tan().with("RADESYS", "GAPPT"), "RADESYS"),
        (tan().with("RADESYS", "ICRS").with("EQUINOX", 1950.0), "EQUINOX"),
        (tan().with("EQUINOX", 1.0), "EQUINOX"),
        (tan().with("EQUINOX", "soon"), "EQUINOX"),
        (tan().with("PC1_1", 1.0).with("CD1_1", 1.0), "CDi_j"),
        (tan().with("PC1_2", 0.5).with("PC001002", 0.25), "PC1_2 and PC001002"),
        (tan().with("CD1_3", 1.0), "axis 3"),
        (tan().with("A_ORDER", 2.0), "B_ORDER"),
        (tan().with("A_ORDER", 2.0).with("B_ORDER", 2.0), "-SIP"),
        (tan().with("CPDIS1", "LOOKUP"), "CPDIS"),
        (tan().with("PV1_2", 45.0), "PV1_2"),
        (tan().with("PV2_2", 0.1), "PV2_2"),
        (both("RA---CAR", "DEC--CAR").with("LONPOLE", 90.0), "native pole"),
        (both("RA---TPV", "DEC--TPV").with("PV1_1", 1.0).with("PV2_1", 1.0), "CDELTi"),
        (
            both("DEC--TPV", "RA---TPV").with("CD1_1", 1e-4).with("CD2_2", 1e-4),
            "latitude on axis 1",
        ),
        (
            both("RA---TPV", "DEC--TPV").with("CD1_1", 1e-4).with("CD2_2", 1e-4).with("PV1_1", 1.0),
            "PV2_1",
        ),
        (both("RA---ZPN", "DEC--ZPN"), "ZPN"),
    ] {
        assert!(header.error().contains(told), "{told}: {}", header.error());
    }
}

#[test]
fn scale_and_orientation() {
    let wcs = Cards::tan().wcs();
    let scale = wcs.pixel_scale(51.0, 51.0).unwrap();
    assert!((scale.x - 0.36).abs() < 1e-9 && (scale.y - 0.72).abs() < 1e-9, "{scale:?}");
    assert!((scale.mean() - (0.36_f64 * 0.72).sqrt()).abs() < 1e-9);
    let near = |a: f64, b: f64| ((a - b + 540.0).rem_euclid(360.0) - 180.0).abs() < 1e-6;
    let seen = |header: Cards| {
        let o = header.wcs().orientation(51.0, 51.0).unwrap();
        (o.up, o.mirrored)
    };
    let (up, mirrored) = seen(Cards::tan());
    assert!(near(up, 0.0) && !mirrored);
    let (up, mirrored) = seen(Cards::tan().with("CDELT1", 1e-4));
    assert!(near(up, 0.0) && mirrored);
    // CROTA2 turns the axes of the sky in the image clockwise.
    let (up, mirrored) = seen(Cards::tan().with("CDELT2", 1e-4).with("CROTA2", 30.0));
    assert!(near(up, -30.0) && !mirrored, "{up}");
}

#[test]
fn right_ascension_wraps() {
    assert_eq!(vector::wrap(-0.25), 359.75);
    assert_eq!(vector::wrap(360.0), 0.0);
    assert_eq!(vector::wrap(-1e-17), 0.0);
}

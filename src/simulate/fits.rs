//! One band as a FITS file: a primary image of 32-bit floats and its header.
//!
//! Written here and not through cfitsio: cfitsio takes brackets and parentheses
//! in a file's path for its extended syntax, reports a full disk as a status of
//! its own, and writes to files only, while these go to memory (and through
//! gzip). What is needed of the standard (version 4.0, sections 3 and 4) is this
//! page.

use super::SimulatedGalaxy;

/// Bytes of a FITS block.
const BLOCK: usize = 2880;
/// Characters of a header card.
const CARD: usize = 80;

/// The bytes of one band of a galaxy (0 = g, 1 = r, 2 = i).
pub(super) fn image(galaxy: &SimulatedGalaxy, band: usize) -> Vec<u8> {
    let size = galaxy.size as i64;
    let middle = (galaxy.size as f64 + 1.0) / 2.0;
    let degrees = galaxy.pixel_scale / 3600.0;
    let truth = &galaxy.truth;
    let mut header = Header::default();
    header.logical("SIMPLE", true, "conforms to FITS standard");
    header.integer("BITPIX", -32, "32-bit floating point");
    header.integer("NAXIS", 2, "");
    header.integer("NAXIS1", size, "");
    header.integer("NAXIS2", size, "");
    header.text("OBJECT", &truth.id, "");
    header.text("FILTER", super::BANDS[band], "SDSS band");
    header.text("BUNIT", "nanomaggy", "1 nanomaggy = 22.5 mag (AB)");
    header.text("RADESYS", "ICRS", "");
    header.text("CTYPE1", "RA---TAN", "");
    header.text("CTYPE2", "DEC--TAN", "");
    header.text("CUNIT1", "deg", "");
    header.text("CUNIT2", "deg", "");
    header.real("CRPIX1", middle, "middle of the image");
    header.real("CRPIX2", middle, "");
    header.real("CRVAL1", truth.position.ra, "right ascension");
    header.real("CRVAL2", truth.position.dec, "declination");
    header.real("CD1_1", -degrees, "east to the left");
    header.real("CD1_2", 0.0, "");
    header.real("CD2_1", 0.0, "");
    header.real("CD2_2", degrees, "north up");
    header.real("PETROR90", truth.petro_r90, "Petrosian R90 [arcsec]");
    header.text("TRUTH", truth.class.label(), "class of the simulated galaxy");
    header.text("ORIGIN", concat!("hiwl ", env!("CARGO_PKG_VERSION")), "simulated");

    let mut bytes = header.finish();
    let plane = &galaxy.bands[band];
    bytes.reserve_exact((plane.len() * 4).next_multiple_of(BLOCK));
    bytes.extend(plane.iter().flat_map(|value| value.to_be_bytes()));
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// A header in the making: cards of eighty ASCII characters.
#[derive(Debug, Default)]
struct Header {
    cards: String,
}

impl Header {
    fn logical(&mut self, key: &str, value: bool, comment: &str) {
        self.card(key, &format!("{:>20}", if value { 'T' } else { 'F' }), comment);
    }

    fn integer(&mut self, key: &str, value: i64, comment: &str) {
        self.card(key, &format!("{value:>20}"), comment);
    }

    /// Twelve decimals: a position good to a microarcsecond.
    fn real(&mut self, key: &str, value: f64, comment: &str) {
        self.card(key, &format!("{:>20}", format!("{value:.12E}")), comment);
    }

    /// Quotes in the text are doubled; it must fit its card.
    fn text(&mut self, key: &str, value: &str, comment: &str) {
        let quoted = format!("'{:<8}'", value.replace('\'', "''"));
        self.card(key, &format!("{quoted:<20}"), comment);
    }

    fn card(&mut self, key: &str, value: &str, comment: &str) {
        let separator = if comment.is_empty() { "" } else { " / " };
        let card = format!("{key:<8}= {value}{separator}{comment}");
        debug_assert!(card.is_ascii() && card.len() <= CARD, "{card}");
        self.cards.push_str(&format!("{card:<CARD$}"));
    }

    fn finish(mut self) -> Vec<u8> {
        self.cards.push_str(&format!("{:<CARD$}", "END"));
        let mut bytes = self.cards.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes
    }
}

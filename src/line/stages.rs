//! What the workers of every mode do, in the order in which a cutout meets them.
//!
//! Each is a thin hand on something that lives elsewhere: reading in
//! [`crate::source`], decoding and cropping in [`crate::cutout`].

use super::{cutout::Cutout, observed::Observed};
use crate::{
    cutout::{
        Decoded, Payload, Rejection, RgbImage,
        decode::{self, DecodeOptions},
        prepare::{self, Preparation},
    },
    source::{Locator, read::Reader},
};

/// Where bytes are.
pub trait Fetch {
    /// Fetches them.
    ///
    /// # Errors
    /// Why there are none.
    fn fetch(self, reader: &mut Reader) -> Result<Payload, Rejection>;
}

impl Fetch for Locator {
    fn fetch(self, reader: &mut Reader) -> Result<Payload, Rejection> {
        reader.read(&self)
    }
}

/// Fetches the bytes.
pub fn read<L: Fetch>(reader: &mut Reader, listed: Cutout<L>) -> Cutout<Payload> {
    listed.advance(|place| place.fetch(reader))
}

/// Turns bytes into pixels.
pub fn decode(options: &DecodeOptions, read: Cutout<Payload>) -> Cutout<Decoded> {
    let mut decoded = read.advance(|payload| decode::decode(&payload, options));
    // A table knows its objects better than a header does.
    if let (None, Ok(image)) = (decoded.position, &decoded.state) {
        decoded.position = image.centre();
        decoded.note = image.note().map(String::from);
    }
    decoded
}

/// Cuts out what the network sees.
pub fn crop(
    preparation: &Preparation,
    observed: &Observed,
    decoded: Cutout<Decoded>,
) -> Cutout<RgbImage> {
    let radius = decoded.radius;
    decoded.advance(|decoded| {
        let prepared = prepare::prepare(&decoded, preparation, radius)?;
        observed.take(&prepared);
        Ok(prepared.picture)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutout::SkyPosition;

    /// A FITS cube whose header names axes on the sky, and no place.
    fn cube() -> Vec<u8> {
        let cards = [
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    3",
            "NAXIS1  =                    1",
            "NAXIS2  =                    1",
            "NAXIS3  =                    3",
            "BANDS   = 'irg     '",
            "CTYPE1  = 'RA---TAN'",
            "CTYPE2  = 'DEC--TAN'",
            "END",
        ];
        let mut file: Vec<u8> = cards.iter().flat_map(|c| format!("{c:80}").into_bytes()).collect();
        file.resize(2880, b' ');
        file.extend([1, 2, 3]);
        file.resize(5760, 0);
        file
    }

    #[test]
    fn a_tables_position_leaves_nothing_to_say_of_the_headers() {
        let listed = |position| Cutout {
            index: 0,
            ends_batch: true,
            id: String::new(),
            source: String::new(),
            position,
            note: None,
            radius: None,
            state: Ok(Payload::Single(cube())),
        };
        let options = DecodeOptions::default();
        let alone = decode(&options, listed(None));
        assert!(alone.position.is_none() && alone.state.is_ok(), "{:?}", alone.state);
        assert!(alone.note.is_some_and(|note| note.contains("CRPIX1 is missing")));
        let known = SkyPosition { ra: 10.5, dec: -3.25 };
        let with_table = decode(&options, listed(Some(known)));
        assert_eq!((with_table.position, with_table.note), (Some(known), None));
    }
}

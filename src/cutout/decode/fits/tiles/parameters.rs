//! How the tiles of an image are compressed: ZCMPTYPE and its parameters
//! (FITS 4.0, sections 10.1.1 and 10.4).

use super::rice::Width;
use crate::cutout::{Reason, Rejection};
use crate::limits;
use crate::storage::fits::{Header, Unclear};

/// An algorithm with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `RICE_1`.
    Rice {
        /// Values that share a code.
        block: usize,
        /// Bytes of a coded value.
        width: Width,
    },
    /// `GZIP_1`.
    Gzip,
    /// `GZIP_2`: the first bytes of all values, then the second, ...
    ShuffledGzip,
    /// `HCOMPRESS_1`.
    Hcompress {
        /// Whether edges between coarse coefficients are smoothed.
        smooth: bool,
    },
    /// `PLIO_1`.
    Plio,
    /// `NOCOMPRESS`: tiles as they are.
    Plain,
}

impl Algorithm {
    /// Reads the algorithm of a header.
    ///
    /// # Errors
    /// [`Reason::Unsupported`] for others, [`Reason::Corrupt`] where a
    /// parameter is not one that the algorithm has.
    pub fn read(header: &Header<'_>) -> Result<Self, Rejection> {
        let wrong = |keyword: &str, value: i64| {
            Rejection::from(Unclear::new(keyword, format!("is {value}")))
        };
        match header.text("ZCMPTYPE")?.as_deref() {
            Some("RICE_1" | "RICE_ONE") => {
                let block = parameter(header, "BLOCKSIZE")?.unwrap_or(32);
                if !(1..=limits::fits::RICE_BLOCK).contains(&block) {
                    return Err(wrong("BLOCKSIZE", block));
                }
                let width = match parameter(header, "BYTEPIX")?.unwrap_or(4) {
                    1 => Width::One,
                    2 => Width::Two,
                    4 => Width::Four,
                    other => return Err(wrong("BYTEPIX", other)),
                };
                // Not larger than limits::fits::RICE_BLOCK.
                Ok(Self::Rice { block: block as usize, width })
            }
            Some("GZIP_1") => Ok(Self::Gzip),
            Some("GZIP_2") => Ok(Self::ShuffledGzip),
            Some("HCOMPRESS_1") => {
                // Streams have a scale of their own; this one has to be one.
                let scale = value_of(header, "SCALE", |key| header.number(key))?.unwrap_or(0.0);
                if scale.abs() > f64::from(i32::MAX) {
                    return Err(Unclear::new("SCALE", format!("is {scale:e}")).into());
                }
                match parameter(header, "SMOOTH")?.unwrap_or(0) {
                    smooth @ (0 | 1) => Ok(Self::Hcompress { smooth: smooth == 1 }),
                    other => Err(wrong("SMOOTH", other)),
                }
            }
            Some("PLIO_1") => Ok(Self::Plio),
            Some("NOCOMPRESS") => Ok(Self::Plain),
            other => {
                let detail = format!("compression {}", other.unwrap_or("without a name"));
                Err(Rejection::new(Reason::Unsupported, detail))
            }
        }
    }

    /// Whether what comes out is what went in. HCOMPRESS may be lossy, and
    /// then leave the range of the image's type.
    pub fn is_lossless(self) -> bool {
        !matches!(self, Self::Hcompress { .. })
    }
}

/// A parameter that is an integer.
fn parameter(header: &Header<'_>, name: &str) -> Result<Option<i64>, Unclear> {
    value_of(header, name, |key| header.integer(key))
}

/// The value `ZVALn` of the parameter that a `ZNAMEn` names. Some readers look
/// for names, others take values by their place; a value without a name is
/// unclear.
fn value_of<T>(
    header: &Header<'_>,
    name: &str,
    read: impl Fn(&str) -> Result<Option<T>, Unclear>,
) -> Result<Option<T>, Unclear> {
    let mut found = None;
    for n in 1..=limits::fits::PARAMETERS {
        let (key, value) = (format!("ZNAME{n}"), format!("ZVAL{n}"));
        match header.text(&key)? {
            None if header.number(&value).is_ok_and(|value| value.is_none()) => {}
            None => return Err(Unclear::new(&value, "is a parameter without a name")),
            Some(named) if named.eq_ignore_ascii_case(name) => {
                if found.is_some() {
                    return Err(Unclear::new(&key, "names a parameter again"));
                }
                found = Some(read(&value)?.ok_or_else(|| Unclear::new(&value, "is missing"))?);
            }
            Some(_) => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fits::tests::bytes;

    fn read(cards: &[&str]) -> Result<Algorithm, Reason> {
        let bytes = bytes(cards);
        let (header, _) = Header::parse(&bytes).unwrap().unwrap();
        Algorithm::read(&header).map_err(|e| e.reason)
    }

    #[test]
    fn parameters_go_by_name_and_have_defaults() {
        let rice = |block, width| Ok(Algorithm::Rice { block, width });
        assert_eq!(read(&["ZCMPTYPE= 'RICE_ONE'"]), rice(32, Width::Four));
        let swapped = [
            "ZCMPTYPE= 'RICE_1'",
            "ZNAME1  = 'BYTEPIX'",
            "ZVAL1   = 2",
            "ZNAME2  = 'BLOCKSIZE'",
            "ZVAL2   = 16",
            "ZNAME3  = 'NOISEBIT'",
            "ZVAL3   = 4.0",
        ];
        assert_eq!(read(&swapped), rice(16, Width::Two));
        let smooth = [
            "ZCMPTYPE= 'HCOMPRESS_1'",
            "ZNAME1  = 'SCALE'",
            "ZVAL1   = 2.5",
            "ZNAME2  = 'SMOOTH'",
            "ZVAL2   = 1",
        ];
        assert_eq!(read(&smooth), Ok(Algorithm::Hcompress { smooth: true }));
    }

    #[test]
    fn parameters_that_no_algorithm_has_are_corrupt() {
        let with = |name: &'static str, value: &'static str| {
            read(&["ZCMPTYPE= 'RICE_1'", name, value]).unwrap_err()
        };
        assert_eq!(with("ZNAME1  = 'BLOCKSIZE'", "ZVAL1   = 0"), Reason::Corrupt);
        assert_eq!(with("ZNAME1  = 'BLOCKSIZE'", "ZVAL1   = 2147483647"), Reason::Corrupt);
        assert_eq!(with("ZNAME1  = 'BYTEPIX'", "ZVAL1   = 3"), Reason::Corrupt);
        assert_eq!(with("ZNAME1  = 'BYTEPIX'", "ZVAL1   = '4'"), Reason::Corrupt);
        assert_eq!(with("COMMENT no name", "ZVAL1   = 32"), Reason::Corrupt);
        assert_eq!(read(&["ZCMPTYPE= 'BZIP2_1'"]), Err(Reason::Unsupported));
        assert_eq!(read(&[]), Err(Reason::Unsupported));
    }
}

//! The headers of a FITS file whose data stay where they are.
//!
//! Headers are fetched one by one, each from where the one before says that its data
//! end. What they mean is [`layout`](super::layout)'s to say. Invariant: no more than
//! the headers is fetched, with a few blocks behind each.

use std::io;

use super::layout::{EXTENSION, Hdu, Layout, data_bytes, image};
use crate::cutout::decode::Limits;
use crate::cutout::{Reason, Rejection};
use crate::limits;
use crate::storage::fits::{BLOCK, CARD, Header};

/// Bytes that are fetched at first for a header: most have no more.
const FIRST: usize = 8 * BLOCK;

/// The headers of a file, and where their data lie.
#[derive(Debug)]
pub struct Headers {
    /// Of each HDU the bytes of its header, and the first byte of its data.
    hdus: Vec<(Vec<u8>, u64)>,
    /// Where the file was cut, if it was.
    cut: Option<String>,
}

impl Headers {
    /// Reads the headers of a file of `size` bytes; `fetch` fills a buffer from an
    /// offset, which lies inside the file. The inner result is about the file.
    ///
    /// # Errors
    /// What fetching says. [`Reason::Corrupt`] where a header lacks what the standard
    /// demands, [`Reason::NotAnImage`] where the file is none of FITS.
    pub fn read(
        size: u64,
        mut fetch: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Result<Self, Rejection>> {
        let mut headers = Self { hdus: Vec::new(), cut: None };
        let mut at = 0;
        while at < size && headers.hdus.len() < limits::fits::HDUS {
            let number = headers.hdus.len() + 1;
            let here = |e: Rejection| e.at(format_args!("HDU {number}"));
            let mut bytes = Vec::new();
            let found = loop {
                let held = bytes.len();
                let more = FIRST.max(held).min(usize::try_from(size - at).unwrap_or(FIRST) - held);
                bytes.resize(held + more, 0);
                fetch(at + held as u64, &mut bytes[held..])?;
                if number == 1 && !bytes.starts_with(b"SIMPLE  =") {
                    return Ok(Err(Rejection::new(Reason::NotAnImage, "no FITS file")));
                }
                // The standard allows other records after the last HDU.
                if number > 1 && !bytes.starts_with(EXTENSION) {
                    break None;
                }
                match Header::parse(&bytes) {
                    Err(e) => return Ok(Err(here(e.into()))),
                    Ok(Some((header, length))) => {
                        break Some((data_bytes(&header), length));
                    }
                    Ok(None) if more == 0 || bytes.len() > (limits::fits::CARDS + 1) * CARD => {
                        headers.cut = Some(format!("the header of HDU {number} is not whole"));
                        break None;
                    }
                    Ok(None) => {}
                }
            };
            let Some((data, length)) = found else { break };
            let data = match data {
                Ok(data) => data,
                Err(e) => return Ok(Err(here(e))),
            };
            let start = at + length as u64;
            if start.saturating_add(data) > size {
                let held = size.saturating_sub(start);
                headers.cut = Some(format!(
                    "the data of HDU {number} are {data} bytes, the file holds {held}"
                ));
                break;
            }
            bytes.truncate(length);
            headers.hdus.push((bytes, start));
            at = (start + data).next_multiple_of(BLOCK as u64);
        }
        Ok(Ok(headers))
    }

    /// The HDUs. Where their data lie is said in bytes of the file.
    ///
    /// # Errors
    /// As [`Layout::of`].
    pub fn layout(&self, limits: &Limits) -> Result<Layout<'_>, Rejection> {
        let mut layout = Layout { hdus: Vec::new(), cut: self.cut.clone() };
        for (index, (bytes, start)) in self.hdus.iter().enumerate() {
            let number = index + 1;
            let here = |e: Rejection| e.at(format_args!("HDU {number}"));
            let parsed = Header::parse(bytes).map_err(|e| here(e.into()))?;
            let Some((header, _)) = parsed else { break };
            if number == 1 && !header.logical("SIMPLE").map_err(|e| here(e.into()))? {
                return Err(here(Rejection::new(Reason::Unsupported, "SIMPLE is F")));
            }
            let (kind, pixels, axes) = image(&header, limits).map_err(here)?;
            let far = || here(Rejection::new(Reason::TooLarge, "data beyond all bounds"));
            let length = data_bytes(&header).map_err(here)?;
            let start = usize::try_from(*start).map_err(|_| far())?;
            let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
            let data = start..end.ok_or_else(far)?;
            layout.hdus.push(Hdu { number, header, kind, pixels, axes, data });
        }
        Ok(layout)
    }

    /// The bytes of all headers, one behind the other.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.hdus.iter().map(|(bytes, _)| bytes.as_slice())
    }
}

//! Huffman tables and the bits that they decode (T.81, annexes C and F.2.2).
//!
//! For walking, not for decoding: what a coefficient is matters less than how
//! many bits it takes.

/// Bits that are looked up at once. Longer codes are rare.
const LOOKUP_BITS: u32 = 8;

/// A table of codes.
pub struct Table {
    /// Length and symbol of the code that begins with these bits; length 0
    /// where the code is longer.
    lookup: [(u8, u8); 1 << LOOKUP_BITS],
    /// For each length the first code after its last one, aligned to 16 bits.
    ends: [u32; 17],
    /// For each length, what to add to a code for its symbol's index.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl Table {
    /// Builds a table of a DHT body: sixteen counts, then the symbols. `None`
    /// if the codes do not fit their lengths, or one consists of ones.
    pub fn new(body: &[u8]) -> Option<Self> {
        let (counts, given) = body.split_at_checked(16)?;
        let mut symbols = [0; 256];
        symbols.get_mut(..given.len())?.copy_from_slice(given);
        let mut table =
            Self { lookup: [(0, 0); 1 << LOOKUP_BITS], ends: [0; 17], offsets: [0; 17], symbols };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            let (count, first) = (u32::from(count), code);
            table.offsets[length as usize] = index as i32 - first as i32;
            if length <= LOOKUP_BITS {
                let span = 1 << (LOOKUP_BITS - length);
                for n in 0..count as usize {
                    let start = (first as usize + n) * span;
                    let entry = (length as u8, *given.get(index + n)?);
                    table.lookup.get_mut(start..start + span)?.fill(entry);
                }
            }
            code += count;
            index += count as usize;
            // A code of ones alone is not allowed.
            if count > 0 && code >= 1 << length {
                return None;
            }
            table.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        (index == given.len()).then_some(table)
    }

    /// Whether no symbol exceeds `largest`.
    pub fn is_within(&self, largest: u8) -> bool {
        self.symbols.iter().all(|symbol| *symbol <= largest)
    }
}

/// What ends a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The bits end.
    Short,
    /// There is no such code.
    Code,
    /// More coefficients than a block has.
    Coefficients,
}

/// Entropy-coded data between two markers, without stuffed zeros.
pub struct Bits {
    /// Followed by zeros, so that eight bytes can always be read.
    bytes: Vec<u8>,
    at: usize,
    end: usize,
}

/// Zeros after the bytes.
const PADDING: usize = 8;

impl Bits {
    /// The data of a segment as they stand in the file.
    pub fn new(stuffed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(stuffed.len() + PADDING);
        let mut rest = stuffed;
        while let Some(at) = rest.iter().position(|b| *b == 0xFF) {
            bytes.extend_from_slice(&rest[..=at]);
            // After FF comes a stuffed zero; fill bytes are gone already.
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        bytes.extend_from_slice(rest);
        let end = bytes.len() * 8;
        bytes.resize(bytes.len() + PADDING, 0);
        Self { bytes, at: 0, end }
    }

    /// Bits that are left; negative where more were taken than there are.
    pub fn left(&self) -> isize {
        self.end as isize - self.at as isize
    }

    /// The next 57 bits or more, at the top.
    fn peek(&self) -> Result<u64, Broken> {
        let window = self.bytes.get(self.at / 8..).and_then(<[u8]>::first_chunk);
        window.map(|w| u64::from_be_bytes(*w) << (self.at % 8)).ok_or(Broken::Short)
    }

    /// Decodes a symbol.
    pub fn symbol(&mut self, table: &Table) -> Result<u8, Broken> {
        let window = self.peek()?;
        let (length, symbol) = table.lookup[(window >> (64 - LOOKUP_BITS)) as usize];
        if length > 0 {
            self.at += usize::from(length);
            return Ok(symbol);
        }
        let code = (window >> 48) as u32;
        for length in LOOKUP_BITS + 1..=16 {
            if code < table.ends[length as usize] {
                let index = (code >> (16 - length)) as i32 + table.offsets[length as usize];
                self.at += length as usize;
                let symbol = usize::try_from(index).ok().and_then(|i| table.symbols.get(i));
                return symbol.copied().ok_or(Broken::Code);
            }
        }
        // Zeros that only fill up are no codes of the file.
        Err(if self.left() < 16 { Broken::Short } else { Broken::Code })
    }

    /// Takes up to 16 bits.
    pub fn take(&mut self, bits: u8) -> Result<u32, Broken> {
        if bits == 0 {
            return Ok(0);
        }
        let value = (self.peek()? >> (64 - u32::from(bits))) as u32;
        self.at += usize::from(bits);
        Ok(value)
    }

    /// Passes over bits.
    pub fn skip(&mut self, bits: usize) {
        self.at += bits;
    }
}

//! PNG with every chunk damaged; interlaced, 16-bit and palette images; bombs.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::File;

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(data);
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[4..]);
    bytes.extend(crc.sum().to_be_bytes());
    bytes
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn header(width: u32, height: u32, depth: u8, colour: u8, interlaced: u8) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[&size[..], &[depth, colour, 0, 0, interlaced]].concat())
}

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

/// An image of a depth, a colour type, and chunks before its data.
fn image(depth: u8, colour: u8, interlaced: u8, before: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
    let mut bytes = [SIGNATURE, &header(240, 240, depth, colour, interlaced)].concat();
    bytes.extend(before.concat());
    bytes.extend(chunk(b"IDAT", &deflated(data)));
    bytes.extend(chunk(b"IEND", &[]));
    bytes
}

/// Samples of 240 × 240 pixels, each row with filter 0.
fn samples(bits_a_pixel: usize, value: u8) -> Vec<u8> {
    rows(240, (240 * bits_a_pixel).div_ceil(8), value)
}

/// Rows in turn dark and bright, as a picture of one colour would be blank.
fn rows(height: usize, bytes: usize, value: u8) -> Vec<u8> {
    let row = |value: u8| [vec![0], vec![value; bytes]].concat();
    (0..height).flat_map(|y| row(if y % 2 == 0 { value } else { 200 })).collect()
}

/// Samples in the seven passes of Adam7.
fn interlaced(bits_a_pixel: usize) -> Vec<u8> {
    const PASSES: [[usize; 4]; 7] = [
        [0, 0, 8, 8],
        [4, 0, 8, 8],
        [0, 4, 4, 8],
        [2, 0, 4, 4],
        [0, 2, 2, 4],
        [1, 0, 2, 2],
        [0, 1, 1, 2],
    ];
    PASSES
        .into_iter()
        .flat_map(|[x, y, dx, dy]| {
            let (width, height) = ((240 - x).div_ceil(dx), (240 - y).div_ceil(dy));
            rows(height, (width * bits_a_pixel).div_ceil(8), 9)
        })
        .collect()
}

/// Images that are right, of kinds that are rare.
pub fn kinds() -> Vec<File> {
    // Colours that lie next to one another differ, as indices of one bit are two.
    let colours = (0..256_u32).map(|i| (i * 99 % 241) as u8);
    let colours: Vec<u8> = colours.flat_map(|value| [value, value, value / 2]).collect();
    let palette = || chunk(b"PLTE", &colours);
    let mut files = Vec::new();
    for (colour, channels, depths) in [
        (0, 1, &[1, 2, 4, 8, 16][..]),
        (2, 3, &[8, 16]),
        (3, 1, &[1, 2, 4, 8]),
        (4, 2, &[8, 16]),
        (6, 4, &[8, 16]),
    ] {
        for depth in depths {
            let bits = channels * usize::from(*depth);
            let before = if colour == 3 { vec![palette()] } else { Vec::new() };
            let plain = image(*depth, colour, 0, &before, &samples(bits, 9));
            let adam7 = image(*depth, colour, 1, &before, &interlaced(bits));
            files.push(File::new(format!("png-{colour}-{depth}.png"), plain));
            files.push(File::new(format!("png-{colour}-{depth}-adam7.png"), adam7));
        }
    }
    for file in &mut files {
        // Of one bit a grey pixel is black or full.
        let is_full = ["png-0-1", "png-0-1-adam7"].contains(&file.id());
        file.expected = Some(if is_full { "saturated" } else { "ok" });
    }
    files
}

/// Every chunk, in every way that a chunk can be wrong; headers that lie.
pub fn damaged() -> Vec<File> {
    let data = samples(24, 9);
    let text = chunk(b"tEXt", b"Comment\0words");
    let whole = image(8, 2, 0, &[text], &data);
    let mut files = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| {
        files.push(File::new(format!("png-{name}.png"), bytes));
    };
    let mut at = SIGNATURE.len();
    while at < whole.len() {
        let length = u32::from_be_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
        let end = at + 12 + length;
        let kind = String::from_utf8(whole[at + 4..at + 8].to_vec()).unwrap();
        let spliced = |start, end, with: &[u8]| [&whole[..start], with, &whole[end..]].concat();
        add(format!("{kind}-removed"), spliced(at, end, &[]));
        add(format!("{kind}-twice"), spliced(at, at, &whole[at..end]));
        add(format!("{kind}-cut"), whole[..at + 6].to_vec());
        add(format!("{kind}-kind"), spliced(at + 4, at + 8, b"QQQQ"));
        add(format!("{kind}-crc"), spliced(end - 4, end, &[1, 2, 3, 4]));
        for length in [0u32, 1, 0x7FFF_FFFF, 0xFFFF_FFFF] {
            add(format!("{kind}-length-{length}"), spliced(at, at + 4, &length.to_be_bytes()));
        }
        at = end;
    }
    for (width, height) in [
        (0, 0),
        (0, 240),
        (1, 1),
        (u32::MAX, u32::MAX),
        (0x7FFF_FFFF, 1),
        (16384, 1024),
        (1024, 16385),
    ] {
        let body = [chunk(b"IDAT", &deflated(&data)), chunk(b"IEND", &[])].concat();
        let bytes = [SIGNATURE, &header(width, height, 8, 2, 0), &body].concat();
        add(format!("size-{width}x{height}"), bytes);
    }
    for (depth, colour) in [(0, 2), (3, 2), (16, 3), (8, 1), (8, 5), (255, 255), (1, 6)] {
        add(format!("header-{depth}-{colour}"), image(depth, colour, 0, &[], &data));
    }
    add("interlace-2".into(), image(8, 2, 2, &[], &data));
    add("palette-none".into(), image(8, 3, 0, &[], &samples(8, 9)));
    add("palette-short".into(), image(8, 3, 0, &[chunk(b"PLTE", &[1, 2, 3])], &samples(8, 9)));
    add("palette-odd".into(), image(8, 3, 0, &[chunk(b"PLTE", &[1, 2, 3, 4])], &samples(8, 0)));
    add("filter-9".into(), image(8, 2, 0, &[], &[&[9], &data[1..]].concat()));
    add("data-short".into(), image(8, 2, 0, &[], &data[..data.len() / 2]));
    add("data-long".into(), image(8, 2, 0, &[], &data.repeat(3)));
    add("data-none".into(), image(8, 2, 0, &[], &[]));
    let raw = [SIGNATURE, &header(240, 240, 8, 2, 0), &chunk(b"IDAT", b"not zlib at all")].concat();
    add("data-raw".into(), raw);
    // 64 MiB of zeros in 64 kB: as pixels, and as text that nobody asked for.
    let zeros = deflated(&vec![0; 64 << 20]);
    let bomb = [SIGNATURE, &header(240, 240, 8, 2, 0), &chunk(b"IDAT", &zeros)].concat();
    add("bomb".into(), [bomb, chunk(b"IEND", &[])].concat());
    for kind in [b"zTXt", b"iCCP"] {
        let text = chunk(kind, &[b"name\0\0", &zeros[..]].concat());
        let name = String::from_utf8(kind.to_vec()).unwrap();
        add(format!("bomb-{name}"), image(8, 2, 0, &[text], &data));
    }
    let wide = [SIGNATURE, &header(4096, 4096, 16, 6, 0), &chunk(b"IDAT", &zeros)].concat();
    add("bomb-wide".into(), [wide, chunk(b"IEND", &[])].concat());
    files
}
